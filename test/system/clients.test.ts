import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { DescMethod, DescMethodUnary, JsonObject } from '@bufbuild/protobuf';
import { toJson } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { messageFromJson } from '#platform/proto-registry.ts';
import { CommandClient, loadCommandProtocol } from '../nodes/aggregate/command-service.ts';
import { metadataOf, type Person } from '../support/edge-client.ts';
import { startGatewayWithMember } from '../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../support/launcher.ts';

/**
 * The clients that strangers come with: one command, one query and one refusal of each by every one of them, in clear and
 * over TLS. Programs that a machine may lack are driven where they are, and said to be missing where they are not.
 */
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const RUN_TIMEOUT_MS = 60_000;
const LOAD_REQUESTS_COUNT = 400;

let gateway: RunningGateway;
let urls: Readonly<Record<'clear' | 'tls', string>>;
let ca: string;
let member: Person;

beforeAll(async () => {
  const edge = await startGatewayWithMember();
  ({ gateway, member } = edge);
  const { run } = edge;
  urls = { clear: run.http, tls: run.https.replace('127.0.0.1', 'localhost') };
  ca = run.ca;
  setDefaultCACertificates([...getCACertificates('default'), await readFile(ca, 'utf8')]);
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

/** What every client is asked to send; the answer in the words that all protocols share. */
interface Asked {
  readonly url: string;
  /** `globex` is somebody else's: refused. */
  readonly tenant: 'acme' | 'globex';
  readonly commandId: string;
}
interface Answered {
  /** HTTP status; of gRPC the gRPC status. */
  readonly status: number;
  /** The error code, '' when there is none. */
  readonly code: string;
  readonly body: unknown;
}
interface RealClient {
  readonly name: string;
  readonly isGrpc?: boolean;
  /** The program it needs. */
  readonly program?: 'curl';
  command(asked: Asked): Promise<Answered>;
  /** Queries are HTTP alone. */
  query?(asked: Asked): Promise<Answered>;
}

const headersOf = ({ tenant }: Asked) => ({ authorization: `Bearer ${member.token}`, 'x-tenant-id': tenant });
const commandPath = ({ commandId }: Asked): string => `/v1/commands/order/${commandId}`;
const QUERY_PATH = '/v1/query/orders';
const commandBody = ({ commandId }: Asked): JsonObject => ({
  command_id: commandId,
  command_type: 'order.place',
  payload: { amount: 3 },
});
const wholeCommand = (asked: Asked): JsonObject => ({
  ...{ aggregate_type: 'order', aggregate_id: asked.commandId },
  ...commandBody(asked),
});
const answered = (status: number, body: unknown): Answered => ({ status, code: String(Object(body).code ?? ''), body });

type Post = (asked: Asked, path: string, body: JsonObject) => Promise<Answered>;
const httpClient = (name: string, post: Post, program?: 'curl'): RealClient => ({
  name,
  command: (asked) => post(asked, commandPath(asked), commandBody(asked)),
  query: (asked) => post(asked, QUERY_PATH, {}),
  ...(program === undefined ? {} : { program }),
});

const byFetch: Post = async (asked, path, body) => {
  const headers = { 'content-type': 'application/json', ...headersOf(asked) };
  const response = await fetch(asked.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return answered(response.status, await response.json());
};

const byHttp2: Post = async (asked, path, body) => {
  const session = connect(asked.url);
  try {
    const stream = session.request({
      ...{ ':method': 'POST', ':path': path, 'content-type': 'application/json' },
      ...headersOf(asked),
    });
    const { promise: status, resolve } = Promise.withResolvers<number>();
    stream.once('response', (head) => resolve(Number(head[':status'])));
    stream.end(JSON.stringify(body));
    let text = '';
    for await (const part of stream.setEncoding('utf8')) text += part;
    return answered(await status, JSON.parse(text));
  } finally {
    session.close();
  }
};

/** @param version how curl is told which HTTP to speak in clear and over TLS */
const byCurl =
  (version: Readonly<Record<'clear' | 'tls', string>>): Post =>
  async (asked, path, body) => {
    const isTls = asked.url.startsWith('https');
    const { stdout } = await runProgram('curl', [
      ...['-sS', isTls ? version.tls : version.clear, '--cacert', ca, '-w', '\n%{http_code}'],
      ...Object.entries(headersOf(asked)).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
      ...['-H', 'content-type: application/json', '-d', JSON.stringify(body), asked.url + path],
    ]);
    const [text = '', status] = stdout.split(/\n(?=\d+$)/);
    return answered(Number(status), JSON.parse(text));
  };

const protocol = loadCommandProtocol();

const grpcJs: RealClient = {
  name: 'grpc-js',
  isGrpc: true,
  async command(asked) {
    const security = asked.url.startsWith('https') ? credentials.createSsl(await readFile(ca)) : undefined;
    using client = new CommandClient(new URL(asked.url).host, protocol, security);
    const { error, response } = await client.submit(wholeCommand(asked), metadataOf(headersOf(asked)));
    const code = String(error?.metadata.get('x-gateway-error')[0] ?? '');
    return { status: error?.code ?? 0, code, body: response };
  },
};

/** The library that browsers use, by its own fetch, with the published descriptors in the place of generated code. */
const grpcWeb: RealClient = {
  name: 'gRPC-Web (connect-web)',
  isGrpc: true,
  async command(asked) {
    const transport = createGrpcWebTransport({ baseUrl: asked.url });
    const method = submitCommand();
    const request = messageFromJson(protocol.registry, method.input.typeName, wholeCommand(asked));
    try {
      const { message } = await transport.unary(method, undefined, RUN_TIMEOUT_MS, headersOf(asked), request);
      const body = toJson(method.output, message, { registry: protocol.registry, useProtoFieldName: true });
      return { status: 0, code: '', body };
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      return { status: error.code, code: error.metadata.get('x-gateway-error') ?? '', body: error.rawMessage };
    }
  },
};

function submitCommand(): DescMethodUnary {
  const found = protocol.registry.getService('aggregate.gateway.v1.CommandService')?.method['submitCommand'];
  if (!isUnary(found)) throw new Error('the descriptors have no SubmitCommand');
  return found;
}

const isUnary = (method: DescMethod | undefined): method is DescMethodUnary => method?.methodKind === 'unary';

interface ProgramRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const runProgram = (program: string, args: readonly string[], cwd = REPOSITORY): Promise<ProgramRun> =>
  new Promise((resolve) => {
    execFile(program, [...args], { cwd, timeout: RUN_TIMEOUT_MS }, (error, stdout, stderr) =>
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
  });

const missing = new Set<string>();
for (const [program, argument] of [
  ['curl', '--version'],
  ['h2load', '--version'],
  ['grpcurl', '-version'],
] as const) {
  if ((await runProgram(program, [argument])).exitCode === 0) continue;
  missing.add(program);
  process.stdout.write(`${program} is not on this machine: what it would do is not tried here\n`);
}

const CLIENTS: readonly RealClient[] = [
  httpClient('fetch', byFetch),
  httpClient('node:http2', byHttp2),
  httpClient('curl, HTTP/1.1', byCurl({ clear: '--http1.1', tls: '--http1.1' }), 'curl'),
  httpClient('curl, HTTP/2', byCurl({ clear: '--http2-prior-knowledge', tls: '--http2' }), 'curl'),
  grpcJs,
  grpcWeb,
];

describe.each(CLIENTS)('$name', (client) => {
  const isMissing = client.program !== undefined && missing.has(client.program);

  it.skipIf(isMissing).each(['clear', 'tls'] as const)('sends commands, %s', async (listener) => {
    const commandId = `${client.name.replaceAll(/[^a-z0-9]/gi, '-')}-${listener}`;
    const asked = { url: urls[listener], tenant: 'acme', commandId } as const;
    expect(await client.command(asked)).toMatchObject({
      ...{ status: client.isGrpc === true ? 0 : 200, code: '' },
      body: { command_id: commandId, version: '1' },
    });
    expect(await client.command({ ...asked, tenant: 'globex' })).toMatchObject({
      ...{ status: client.isGrpc === true ? 7 : 403, code: 'tenant_forbidden' },
    });
  });

  it.skipIf(isMissing || client.query === undefined).each(['clear', 'tls'] as const)(
    'sends queries, %s',
    async (listener) => {
      const asked = { url: urls[listener], tenant: 'acme', commandId: '' } as const;
      expect(await client.query?.(asked)).toMatchObject({
        ...{ status: 200, code: '' },
        body: { shard: 's1', tenant_id: 'acme', view_type: 'orders' },
      });
      expect(await client.query?.({ ...asked, tenant: 'globex' })).toMatchObject({
        ...{ status: 403, code: 'tenant_forbidden' },
      });
    },
  );
});

describe('h2load', () => {
  it.skipIf(missing.has('h2load')).each(['clear', 'tls'] as const)(
    'is served every request of many at once, %s',
    async (listener) => {
      const headers = Object.entries({
        ...{ authorization: `Bearer ${member.token}`, 'x-tenant-id': 'acme' },
        ...{ 'content-type': 'application/json', ':method': 'POST' },
      }).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
      const { stdout, stderr } = await runProgram('h2load', [
        ...['-n', String(LOAD_REQUESTS_COUNT), '-c', '4', '-m', '20', ...headers],
        `${urls[listener]}${QUERY_PATH}`,
      ]);
      expect(stdout, stderr).toContain(`${LOAD_REQUESTS_COUNT} succeeded, 0 failed, 0 errored, 0 timeout`);
      expect(stdout).toContain(`status codes: ${LOAD_REQUESTS_COUNT} 2xx, 0 3xx, 0 4xx, 0 5xx`);
    },
  );
});

/** The commands of the README as a stranger copies them, at the port and with the token of this gateway. */
describe('the README', () => {
  async function copied(start: string): Promise<string> {
    const text = await readFile(`${REPOSITORY}/README.md`, 'utf8');
    const line = text.split('\n').find((each) => each.startsWith(start));
    if (line === undefined) throw new Error(`the README has no line that begins with ${start}`);
    return line.replaceAll('127.0.0.1:8080', new URL(urls.clear).host).replaceAll('$ANN', member.token);
  }

  it.skipIf(missing.has('grpcurl'))('has a grpcurl command that a stranger can use', async () => {
    const { stdout, stderr } = await runProgram('sh', ['-c', await copied('grpcurl ')]);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({ commandId: 'c-2' });
  });

  it.skipIf(missing.has('curl'))('has curl commands that a stranger can use', async () => {
    const command = await runProgram('sh', [
      '-c',
      await copied("curl -sS -w '\\n' http://127.0.0.1:8080/v1/commands/"),
    ]);
    expect(JSON.parse(command.stdout)).toMatchObject({ command_id: 'c-1' });
    const query = await runProgram('sh', ['-c', await copied("curl -sS -i -w '\\n' http://127.0.0.1:8080/v1/query/")]);
    expect(query.stdout).toMatch(/^HTTP\/1\.1 200/);
  });
});
