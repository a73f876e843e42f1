import { readFileSync } from 'node:fs';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { decodeToJson, encodeJson, loadRegistry } from '#platform/proto-registry.ts';

export const registry = loadRegistry(
  ['envoy-api.binpb', 'command-service.binpb'].map((file) =>
    readFileSync(new URL(`../../../../proto/${file}`, import.meta.url)),
  ),
);

/** What the stub was asked about one request. */
export interface Check {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Context extensions of the route: `stamp` and `target`. */
  readonly context: Readonly<Record<string, string>>;
  /** Fields of the final message; absent where no message was read. */
  readonly message: Readonly<Record<string, readonly string[]>> | undefined;
}

/** What the stub answers: the cluster an allowed request goes to, or the status of a refusal. */
export type Verdict =
  | { readonly allow: string }
  | { readonly deny: number; readonly grpc?: number; readonly body: string };

export interface StubAuthz extends AsyncDisposable {
  readonly port: number;
  readonly checks: Check[];
  decide: (check: Check) => Verdict;
}

const passThrough = (bytes: Buffer): Buffer => bytes;
const unary = (path: string) => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: passThrough,
  requestDeserialize: passThrough,
  responseSerialize: passThrough,
  responseDeserialize: passThrough,
});
type Call = ServerUnaryCall<Buffer, Buffer>;
/** grpc.health.v1.HealthCheckResponse: SERVING. */
const SERVING = Buffer.of(0x08, 0x01);

/** An ext_authz server that decides by a function of the test and remembers what it was asked. */
export async function startStubAuthz(decide: (check: Check) => Verdict): Promise<StubAuthz> {
  const server = new Server();
  const stub = { checks: [] as Check[], decide };
  server.addService(
    { Check: unary('/envoy.service.auth.v3.Authorization/Check') },
    {
      Check: (call: Call, answer: sendUnaryData<Buffer>) => {
        const check = parseCheck(call.request);
        stub.checks.push(check);
        answer(
          null,
          Buffer.from(encodeJson(registry, 'envoy.service.auth.v3.CheckResponse', respond(stub.decide(check)))),
        );
      },
    },
  );
  server.addService(
    { Check: unary('/grpc.health.v1.Health/Check') },
    { Check: (_call: Call, answer: sendUnaryData<Buffer>) => answer(null, SERVING) },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return Object.assign(stub, { port, [Symbol.asyncDispose]: async () => server.forceShutdown() });
}

const header = (key: string, value: string) => ({
  header: { key, value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});

function respond(verdict: Verdict) {
  if ('allow' in verdict) {
    return {
      status: { code: 0 },
      ok_response: {
        headers: [
          header('x-gateway-cluster', verdict.allow),
          header('x-tenant-id', 'acme'),
          header('x-principal-id', 'usr_1'),
          header('x-principal-kind', 'user'),
          header('x-decision-id', 'dec_1'),
          header('x-placement-epoch', '1'),
        ],
        headers_to_remove: ['authorization', 'cookie'],
      },
      dynamic_metadata: { decision_id: 'dec_1', outcome: 'allow', reason: 'allowed', revision: '1', tenant_id: 'acme' },
    };
  }
  const isGrpc = verdict.grpc !== undefined;
  return {
    status: { code: 7 },
    denied_response: {
      status: { code: verdict.deny },
      headers: [
        header('content-type', isGrpc ? 'application/grpc' : 'application/problem+json'),
        ...(isGrpc ? [header('grpc-status', String(verdict.grpc)), header('grpc-message', verdict.body)] : []),
      ],
      body: verdict.body,
    },
    dynamic_metadata: { decision_id: 'dec_2', outcome: 'deny', reason: 'right_missing', revision: '1' },
  };
}

/** The parts of a CheckRequest that tests look at; the descriptors say what is there. */
function parseCheck(bytes: Buffer): Check {
  const { attributes } = decodeToJson(registry, 'envoy.service.auth.v3.CheckRequest', bytes) as unknown as {
    readonly attributes: {
      readonly request: {
        readonly http: {
          readonly method: string;
          readonly path: string;
          readonly header_map?: { readonly headers?: readonly { readonly key: string; readonly raw_value?: string }[] };
        };
      };
      readonly context_extensions?: Record<string, string>;
      readonly metadata_context?: { readonly filter_metadata?: Record<string, Record<string, readonly string[]>> };
    };
  };
  const { http } = attributes.request;
  return {
    method: http.method,
    path: http.path,
    headers: (http.header_map?.headers ?? []).map(({ key, raw_value = '' }) => [
      key,
      Buffer.from(raw_value, 'base64').toString('utf8'),
    ]),
    context: attributes.context_extensions ?? {},
    message: attributes.metadata_context?.filter_metadata?.['envoy.filters.http.grpc_field_extraction'],
  };
}
