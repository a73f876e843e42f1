import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PROTO = fileURLToPath(new URL('./otlp.proto', import.meta.url));
const SERVICE = 'opentelemetry.proto.collector.trace.v1.TraceService';

/** A span as a collector gets it. Ids in hex, '' where there is none; kinds and states by OTLP's numbers. */
export interface ReceivedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number;
  /** 0 unset, 1 ok, 2 error. */
  readonly state: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A collector that keeps what it gets. */
export interface OtlpReceiver extends AsyncDisposable {
  /** For `GATEWAY_OTLP_ENDPOINT`. */
  readonly endpoint: string;
  readonly spans: readonly ReceivedSpan[];
}

/** Starts a collector of OTLP/gRPC on a free port of loopback. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const definition = loadSync(PROTO, { keepCase: true, longs: String, defaults: true, oneofs: true })[SERVICE];
  if (definition === undefined || 'format' in definition) throw new Error(`${SERVICE} is no service`);
  const spans: ReceivedSpan[] = [];
  const server = new Server();
  server.addService(definition, {
    Export: (call: ServerUnaryCall<ExportRequest, object>, answer: sendUnaryData<object>) => {
      spans.push(...call.request.resource_spans.flatMap(spansOf));
      answer(null, {});
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return {
    endpoint: `http://127.0.0.1:${port}`,
    spans,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}

interface ExportRequest {
  readonly resource_spans: readonly ResourceSpans[];
}

interface ResourceSpans {
  readonly resource: { readonly attributes: readonly KeyValue[] } | null;
  readonly scope_spans: readonly { readonly spans: readonly WireSpan[] }[];
}

interface KeyValue {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>> | null;
}

interface WireSpan {
  readonly trace_id: Buffer;
  readonly span_id: Buffer;
  readonly parent_span_id: Buffer;
  readonly name: string;
  readonly kind: number;
  readonly start_time_unix_nano: string;
  readonly end_time_unix_nano: string;
  readonly attributes: readonly KeyValue[];
  readonly status: { readonly code: number } | null;
}

function spansOf({ resource, scope_spans }: ResourceSpans): readonly ReceivedSpan[] {
  const service = attributesOf(resource?.attributes ?? [])['service.name'] ?? '';
  return scope_spans
    .flatMap(({ spans }) => spans)
    .map((span) => ({
      service,
      name: span.name,
      traceId: span.trace_id.toString('hex'),
      spanId: span.span_id.toString('hex'),
      parentId: span.parent_span_id.toString('hex'),
      kind: span.kind,
      state: span.status?.code ?? 0,
      startNs: BigInt(span.start_time_unix_nano),
      endNs: BigInt(span.end_time_unix_nano),
      attributes: attributesOf(span.attributes),
    }));
}

const attributesOf = (pairs: readonly KeyValue[]): Readonly<Record<string, string>> =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, String(value?.[String(value['value'])] ?? '')]));
