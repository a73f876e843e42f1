import { ERRORS, type ErrorCode } from '#domain/errors.ts';
import { sendRaw } from '../../protocol/xds/rig/clients.ts';
import { sendGrpc, sendGrpcWeb, sendHttp1, sendHttp2, type WireAnswer, type WireRequest } from './wire-client.ts';

export const PROTOCOLS = ['HTTP/1.1', 'HTTP/2', 'gRPC', 'gRPC-Web'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** A request as each kind of client sends it; undefined: it cannot be said in that protocol. */
export interface Asked {
  readonly http?: WireRequest;
  readonly grpc?: WireRequest;
  /** Sent as it stands over HTTP/1.1; `<ids>` stands for the lines with the ids. */
  readonly raw?: string;
  /** The protocols of the above that are meant; all by default. */
  readonly only?: readonly Protocol[];
}

/** What one client saw, in the words of the tables. */
export interface Seen {
  /** Status and code. */
  readonly error: string;
  /** The ids on it. */
  readonly ids: string;
}

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const GOOD_IDS = {
  'x-correlation-id': 'matrix:1',
  traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01`,
  'x-request-id': 'mine',
} as const;
const BAD_IDS = {
  'x-correlation-id': 'not "clean"',
  traceparent: `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
  'x-request-id': 'mine',
} as const;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/;
const DECISION = /^dec_[a-z2-7]{26}$/;

/** What would tell a client how the gateway is built, or what Envoy thinks of somebody behind it. */
const LEAKS =
  /127\.0\.0\.1|\[::1\]|localhost|nats|envoy|ext_authz|upstream connect|reset reason|delayed connect|remote address|no healthy|response_code|cluster|econnrefused|connection (?:refused|termination)|transport failure| at .+\.ts:\d+/i;

/** Sends a request with good ids and with bad ones, and says what came back to whom. */
export async function observe(port: number, asked: Asked): Promise<ReadonlyMap<Protocol, Seen>> {
  const seen = await Promise.all(
    PROTOCOLS.map(async (protocol): Promise<readonly [Protocol, Seen] | undefined> => {
      const good = await send(port, protocol, asked, GOOD_IDS);
      if (good === undefined) return undefined;
      const bad = await send(port, protocol, asked, BAD_IDS);
      if (bad === undefined) throw new Error('what can be sent once can be sent again');
      const error = describeError(protocol, good);
      const again = describeError(protocol, bad);
      if (again !== error) throw new Error(`${protocol}: ${error} and then ${again}`);
      expectNothingBad(protocol, bad);
      return [protocol, { error, ids: describeIds(good) }];
    }),
  );
  return new Map(seen.filter((entry) => entry !== undefined));
}

type Ids = Readonly<Record<string, string>>;

async function send(port: number, protocol: Protocol, asked: Asked, ids: Ids): Promise<WireAnswer | undefined> {
  if (asked.only?.includes(protocol) === false) return undefined;
  const withIds = (request: WireRequest): WireRequest => ({ ...request, headers: { ...ids, ...request.headers } });
  if (protocol === 'HTTP/1.1' && asked.raw !== undefined) {
    const lines = Object.entries(ids).map(([name, value]) => `${name}: ${value}\r\n`);
    return readHttp1(await sendRaw(port, asked.raw.replace('<ids>', lines.join(''))));
  }
  if (protocol === 'HTTP/1.1' && asked.http !== undefined) return sendHttp1(port, withIds(asked.http));
  if (protocol === 'HTTP/2' && asked.http !== undefined) return sendHttp2(port, withIds(asked.http));
  if (protocol === 'gRPC' && asked.grpc !== undefined) return sendGrpc(port, withIds(asked.grpc));
  if (protocol === 'gRPC-Web' && asked.grpc !== undefined) return sendGrpcWeb(port, withIds(asked.grpc));
  return undefined;
}

function readHttp1(text: string): WireAnswer {
  const [head = '', body = ''] = text.split('\r\n\r\n');
  const [first = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
  return { status: Number(first.split(' ')[1]), headers, body: Buffer.from(body, 'latin1') };
}

const GRPC_STATUS = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED'],
  ...['INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
];

/** @throws Error where the parts of an answer contradict each other, or say too much */
function describeError(protocol: Protocol, answer: WireAnswer): string {
  if (answer.status === undefined) return answer.failure ?? 'nothing';
  const { headers } = answer;
  const everything = `${JSON.stringify({ ...headers, 'x-served-by': '' })}\n${answer.body.toString('latin1')}`;
  const leak = LEAKS.exec(everything);
  if (leak !== null) throw new Error(`${protocol} tells a client "${leak[0]}": ${everything}`);
  for (const name of Object.keys(headers)) {
    if (name.startsWith('access-control-')) throw new Error(`${protocol}: ${name} lets other sites in`);
    if (/^x-(?:envoy|gateway-(?!error$)|principal|placement)/.test(name) && headers['x-served-by'] === undefined)
      throw new Error(`${protocol}: ${name} is nobody's business outside`);
  }
  const isGrpc = protocol === 'gRPC' || protocol === 'gRPC-Web';
  return isGrpc && headers['grpc-status'] !== undefined ? describeGrpc(answer) : describeHttp(answer);
}

function describeGrpc({ status, headers }: WireAnswer): string {
  const code = Number(headers['grpc-status']);
  const error = headers['x-gateway-error'];
  const http = status === 200 ? '' : ` on HTTP ${status}`;
  if (error === undefined) return `${GRPC_STATUS[code] ?? code} of the node${http}`;
  if (!isErrorCode(error) || ERRORS[error].grpc !== code) throw new Error(`${error} is not ${code}`);
  if (headers['grpc-message']?.includes('{') !== false) throw new Error('a grpc-message is a text for people');
  return `${GRPC_STATUS[code] ?? code} ${error}${http}`;
}

function describeHttp({ status, headers, body }: WireAnswer): string {
  const type = headers['content-type'] ?? 'no content';
  const document = parse(body);
  if (type === 'application/json' && typeof document['code'] === 'number') {
    return `${status} google.rpc.Status ${GRPC_STATUS[document['code']]} of the node`;
  }
  const code = String(document['code']);
  if (!type.startsWith('application/problem+json') || !isErrorCode(code)) return `${status} ${type}`;
  if (ERRORS[code].status !== status || document['status'] !== status) throw new Error(`${code} is not ${status}`);
  for (const [member, name] of Object.entries(BODY_IDS)) {
    if (document[member] !== undefined && document[member] !== headers[name])
      throw new Error(`${member} is ${String(document[member])}, but ${name} is ${headers[name]}`);
  }
  if (headers['x-served-by'] !== undefined) return `${status} ${code} of the node`;
  if ((headers['x-gateway-error'] ?? code) !== code) throw new Error(`${headers['x-gateway-error']} is not ${code}`);
  for (const member of ['type', 'title', 'detail', 'request_id', 'correlation_id']) {
    if (typeof document[member] !== 'string') throw new Error(`the document of ${code} has no ${member}`);
  }
  return `${status} ${code}`;
}

const BODY_IDS = {
  request_id: 'x-request-id',
  correlation_id: 'x-correlation-id',
  decision_id: 'x-decision-id',
} as const;

const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text);

function parse(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
  } catch {
    return {};
  }
}

/** Four letters, capital where the client's own was kept: correlation id, request id, trace, decision id. */
function describeIds({ status, headers }: WireAnswer): string {
  if (status === undefined) return 'none';
  const correlation = headers['x-correlation-id'] ?? '';
  const trace = headers['traceparent'] ?? '';
  const kept = trace.split('-')[1] === TRACE_ID ? 'T' : 't';
  return [
    correlation === GOOD_IDS['x-correlation-id'] ? 'C' : lettered('c', UUID, correlation),
    lettered('r', UUID, headers['x-request-id'] ?? ''),
    lettered(kept, TRACEPARENT, trace),
    lettered('d', DECISION, headers['x-decision-id'] ?? ''),
  ].join(' ');
}

/** @throws Error where there is something, and it is no id */
function lettered(letter: string, form: RegExp, value: string): string {
  if (value === '') return '-';
  if (!form.test(value)) throw new Error(`"${value}" is no id`);
  return letter;
}

/** None of the client's bad ids comes back, and what does is in form. */
function expectNothingBad(protocol: Protocol, answer: WireAnswer): void {
  const ids = describeIds(answer);
  if (ids.includes('C') || ids.includes('T')) throw new Error(`${protocol}: a bad id was kept`);
  if (JSON.stringify(answer.headers).includes('clean')) throw new Error(`${protocol}: a bad id was repeated`);
}
