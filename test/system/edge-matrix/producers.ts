import { toBinary } from '@bufbuild/protobuf';
import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import { messageFromJson, messageType } from '#platform/proto-registry.ts';
import { loadCommandProtocol } from '../../nodes/aggregate/command-service.ts';
import type { Asked } from './observe.ts';
import type { WireRequest } from './wire-client.ts';
import { GUESSED, type World } from './world.ts';

/** One way to be refused, and what it is called in the tables. */
export type Producers = Readonly<Record<string, Asked>>;

const { registry } = loadCommandProtocol();
const TYPE = 'aggregate.gateway.v1.SubmitCommandRequest';
type Fields = Readonly<Record<string, string>>;
type Headers = WireRequest['headers'];

const encode = (fields: Fields): Buffer =>
  Buffer.from(toBinary(messageType(registry, TYPE), messageFromJson(registry, TYPE, { ...fields })));
const json = (body: unknown): Buffer => Buffer.from(JSON.stringify(body));

const COMMAND: Fields = { command_id: 'matrix', command_type: 'order.place' };
const JSON_TYPE = { 'content-type': 'application/json' } as const;

/** A command in both its forms. */
const command = (headers: Headers, fields: Fields = COMMAND): Required<Pick<Asked, 'http' | 'grpc'>> => ({
  http: { method: 'POST', path: '/v1/commands/order/1', headers: { ...JSON_TYPE, ...headers }, body: json(fields) },
  grpc: {
    method: 'POST',
    path: COMMAND_GRPC_PATH,
    headers,
    body: encode({ aggregate_type: 'order', aggregate_id: '1', ...fields }),
  },
});
const call = (method: string, path: string, headers: Headers, body?: unknown): Asked => ({
  http: {
    ...{ method, path },
    headers: body === undefined ? headers : { ...JSON_TYPE, ...headers },
    ...(body === undefined ? {} : { body: body instanceof Uint8Array ? body : json(body) }),
  },
});
const query = (headers: Headers, body: unknown = {}): Asked => call('POST', '/v1/query/orders', headers, body);
const lines = (...text: readonly string[]): Asked => ({ raw: `${text.join('\r\n')}\r\n<ids>\r\n` });
const CLOSE = 'Connection: close';

/** Who asks, in the headers of their requests. */
const people = ({ member, admin }: World) => ({
  asMember: (tenant = 'acme') => ({ authorization: `Bearer ${member.token}`, 'x-tenant-id': tenant }),
  asAdmin: { authorization: `Bearer ${admin.token}` },
});

/** What ext_authz refuses. */
export function decided(world: World): Producers {
  const { asMember } = people(world);
  const bearer = (token: string) => ({ authorization: `Bearer ${token}`, 'x-tenant-id': 'acme' });
  const invalid = (value: string) => ({ 'idempotency-key': value });
  const { command_id: _, ...anonymous } = COMMAND;
  return {
    'no such endpoint': {
      ...call('GET', '/nowhere', asMember()),
      grpc: { ...grpcTo('/some.Service/Call', asMember()) },
    },
    'no such method of the service': { grpc: grpcTo('/aggregate.gateway.v1.CommandService/Other', asMember()) },
    'another method': {
      ...call('PUT', '/v1/query/orders', asMember(), {}),
      grpc: { ...grpcTo(COMMAND_GRPC_PATH, asMember()), method: 'PUT' },
    },
    'a path that is not UTF-8': call('POST', '/v1/query/%c0%ae', asMember(), {}),
    'no token': command({ 'x-tenant-id': 'acme' }),
    'no token, for a query': query({ 'x-tenant-id': 'acme' }),
    'a token that is none': command(bearer('a.b.c')),
    'an expired token': command(bearer(world.expiredToken)),
    'the token of an ended session': command(bearer(world.revokedToken)),
    'two tokens': command({ ...asMember(), authorization: `Bearer ${world.member.token},Bearer x` }),
    'no tenant': command({ authorization: asMember().authorization }),
    'a tenant that is none': command(asMember('NOT ONE')),
    'two tenants': command({ ...asMember(), 'x-tenant-id': ['acme', 'globex'] }),
    'a tenant of others': command(asMember('globex')),
    'a tenant that does not exist': command(asMember('imaginary')),
    'no right': call('GET', '/admin/runner/status', asMember()),
    'no right to the API': call('GET', '/admin/routing', asMember()),
    'a tenant without a place': command(asMember('unplaced')),
    'a command without an id': command(asMember(), anonymous),
    'an Idempotency-Key that is none': command({ ...asMember(), ...invalid('a b') }, anonymous),
    'two ids of a command': command({ ...asMember(), ...invalid('other') }),
    'a command that is not what its path says': call(
      'POST',
      '/v1/commands/order/1?aggregate_type=x',
      asMember(),
      COMMAND,
    ),
    'a field that is not UTF-8': {
      ...call('POST', '/v1/commands/order/%ff', asMember(), COMMAND),
      grpc: {
        ...grpcTo(COMMAND_GRPC_PATH, asMember()),
        body: Buffer.concat([encode({ aggregate_type: 'order', ...COMMAND }), Buffer.from([0x12, 1, 0xff])]),
      },
    },
  };
}

const grpcTo = (path: string, headers: Headers): WireRequest => ({
  ...command(headers).grpc,
  path,
});

/** What Envoy itself refuses, having read the request. */
export function refusedByEnvoy(world: World): Producers {
  const { asMember } = people(world);
  const large = 'x'.repeat(LIMITS.requestBodyMaxBytes);
  return {
    'a body too large': command(asMember(), { ...COMMAND, aggregate_type: large }),
    'a body too large, for a query': query(asMember(), large),
    'JSON that is none': call('POST', '/v1/commands/order/1', asMember(), Buffer.from('{"command_id":')),
    'JSON that is not UTF-8': call('POST', '/v1/commands/order/1', asMember(), Buffer.from([0x7b, 0x22, 0xff])),
    'an unknown query parameter': call('POST', '/v1/commands/order/1?surprise=1', asMember(), COMMAND),
    'a message that is none': {
      grpc: { ...grpcTo(COMMAND_GRPC_PATH, asMember()), body: Buffer.from([0x0a, 0x7f, 0x6f]) },
    },
  };
}

/** What Envoy refuses before it looks at the request. */
export function refusedEarly(): Producers {
  const http = (headers: Headers): WireRequest => ({ method: 'GET', path: '/', headers });
  const grpc = (headers: Headers): WireRequest => grpcTo(COMMAND_GRPC_PATH, headers);
  const everywhere = (headers: Headers): Asked => ({ http: http(headers), grpc: grpc(headers) });
  const many = Object.fromEntries(
    Array.from({ length: LIMITS.requestHeadersMaxCount + 1 }, (_, index) => [`x-${index}`, 'x']),
  );
  return {
    'an escaped slash in the path': {
      http: { ...http({}), path: '/v1/query/a%2fb' },
      grpc: { ...grpc({}), path: '/some.Service%2fCall' },
    },
    'headers too large': everywhere({ 'x-large': 'x'.repeat(LIMITS.requestHeadersMaxKilobytes * 1_100) }),
    'headers too many': everywhere(many),
    'an underscore in a name': everywhere({ x_tenant_id: 'acme' }),
    'HTTP/1.0': lines('GET / HTTP/1.0'),
    'no host': lines('GET / HTTP/1.1', CLOSE),
    'no HTTP': lines('hello'),
    'two lengths': lines('POST / HTTP/1.1', 'Host: g', 'Content-Length: 3', 'Content-Length: 4', CLOSE),
    'an unknown encoding': lines('POST / HTTP/1.1', 'Host: g', 'Transfer-Encoding: x', CLOSE),
    'an upgrade': lines('GET /v1/query/x HTTP/1.1', 'Host: g', 'Connection: upgrade, close', 'Upgrade: websocket'),
    CONNECT: lines('CONNECT example.org:443 HTTP/1.1', 'Host: g'),
  };
}

/** What the gateway's own API refuses. */
export function refusedByApi(world: World): Producers {
  const { asAdmin } = people(world);
  const signin = (body: unknown, headers: Headers = {}) => call('POST', '/v1/auth/signin', headers, body);
  return {
    'API: no such user': call('GET', '/admin/iam/users/usr_nobody', asAdmin),
    'API: a field is missing': signin({ email: 'member@example.com' }),
    'API: JSON that is none': signin(Buffer.from('{"email":')),
    'API: not JSON': signin(Buffer.from('x'), { 'content-type': 'text/plain' }),
    'API: a body too large': signin({ email: 'x'.repeat(LIMITS.apiBodyMaxBytes) }),
    'API: a wrong password': signin({ email: 'member@example.com', password: 'something else' }),
    'API: a second bootstrap': call(
      'POST',
      '/v1/auth/bootstrap',
      {},
      {
        ...{ bootstrap_token: 'x'.repeat(43), email: 'second@example.com', password: 'correct horse battery staple' },
      },
    ),
    'API: a routing document with mistakes': call('POST', '/admin/routing/revisions', asAdmin, {
      aggregate_placement: { acme: 'imaginary' },
    }),
    'API: an assignment that is there already': call('POST', '/admin/iam/assignments', asAdmin, {
      ...{ principal_id: world.member.userId, tenant_id: 'acme', role_id: 'tenant-member' },
    }),
    'API: If-Match of an older revision': call(
      'POST',
      '/admin/routing/revisions',
      { ...asAdmin, 'if-match': '"1"' },
      { changes: [{ tenant: 'acme', runner: 's1' }] },
    ),
    'API: a rollback to nothing': call('POST', '/admin/routing/rollback', asAdmin, { revision: 999_999 }),
  };
}

/** What becomes of requests whose shard is in trouble. */
export function brokenShards(world: World): Producers {
  const { asMember } = people(world);
  const delayed = (headers: Headers) =>
    command({ ...asMember(), ...headers }, { ...COMMAND, command_type: 'test.delay.14000' });
  return {
    'nobody listens': command(asMember('down')),
    'nobody listens, for a query': query(asMember('down')),
    'an address without a host': command(asMember('nowhere')),
    'an address without a host, for a query': query(asMember('nowhere')),
    'the node breaks the connection': command(asMember('resets')),
    'the node breaks the connection, for a query': query(asMember('resets')),
    'the node takes too long': delayed({}),
    'the node takes too long, for a query': query(asMember(), { delay_ms: 14_000 }),
    "the caller's own deadline": { grpc: delayed({ 'grpc-timeout': '300m' }).grpc },
  };
}

/** What a node answers itself: passed on. */
export function answeredByNodes(world: World): Producers {
  const { asMember } = people(world);
  const failing = (code: string) => command(asMember(), { ...COMMAND, command_type: `test.fail.${code}` });
  const codes = ['INVALID_ARGUMENT', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED'];
  const more = ['FAILED_PRECONDITION', 'ABORTED', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'UNAUTHENTICATED'];
  const payload = Buffer.from([0x2a, 10, 0x0a, 8, 0x0a, 1, 0x6b, 0x12, 3, 0x1a, 1, 0xff]);
  return {
    ...Object.fromEntries([...codes, ...more].map((code) => [`the node: ${code}`, failing(code)])),
    'the node: a payload that is not UTF-8': {
      grpc: {
        ...grpcTo(COMMAND_GRPC_PATH, asMember()),
        body: Buffer.concat([encode({ aggregate_type: 'order', aggregate_id: '1', ...COMMAND }), payload]),
      },
    },
    'the node: a query that is wrong': query(asMember(), { delay_ms: 'soon' }),
  };
}

/** Requests to shards that take no more at the moment. */
export const toBusyShards = (world: World): Producers => ({
  'too many requests under way': command(people(world).asMember('busy')),
  'too many requests under way, for a query': query(people(world).asMember('busy')),
});

/** Requests beyond what the gateway lets through. */
export const beyondLimits = (world: World): Producers => ({
  'more requests than a limit lets through': command(people(world).asMember('spent')),
  'more requests than a limit lets through, for a query': query(people(world).asMember('spent')),
  'API: too many failed sign-ins': call('POST', '/v1/auth/signin', {}, { email: GUESSED, password: 'something else' }),
});

/** What is not wrong at all. */
export function nothingWrong(world: World): Producers {
  const { asMember } = people(world);
  return {
    'nothing: a command': command(asMember()),
    'nothing: who am I': call('GET', '/v1/auth/me', asMember()),
    'nothing: Envoy is alive': call('GET', '/health', {}),
    'a preflight: nobody is let in from another site': call('OPTIONS', '/v1/query/orders', {
      ...{ origin: 'https://elsewhere.example', 'access-control-request-method': 'POST' },
    }),
  };
}

/** Requests that a working gateway would serve, for when it does not. */
export const served = (world: World, what: string): Producers => ({
  [what]: command(people(world).asMember()),
  [`${what}, for a query`]: query(people(world).asMember()),
});

export const signUpWithout = (what: string): Producers => ({
  [what]: call('POST', '/v1/auth/signup', {}, { email: 'late@example.com', password: 'correct horse battery staple' }),
});

export const ready = (what: string): Producers => ({ [what]: call('GET', '/ready', {}) });
