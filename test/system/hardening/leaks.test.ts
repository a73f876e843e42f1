import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import { encodeJson } from '#platform/proto-registry.ts';
import { loadCommandProtocol } from '../../nodes/aggregate/command-service.ts';
import { ask, assign } from '../../support/edge-client.ts';
import { type GatewayWithMember, startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import { freePort } from '../../support/free-port.ts';
import { until } from '../../support/wait.ts';
import { type ListenerAnswer, type ListenerClient, type ListenerRequest, listenerClients } from './listener-clients.ts';

/**
 * What an answer tells of the software and the machines behind the gateway: nothing, whatever its status, on every
 * listener and in every version. Nodes say a lot of themselves here, as those of others do.
 */
const DEADLINE_MS = 30_000;
/** What a tenant gets in ten hours: more than `acme` is asked here, and soon used up on purpose. */
const TENANT_REQUESTS = 300;
const TALKATIVE = {
  ...{
    server: 'node-software/1.2.3',
    'x-powered-by': 'node-framework',
    via: '1.1 node-cache',
    'x-aspnet-version': '4.0',
  },
  ...{ 'x-envoy-upstream-service-time': '5', 'x-envoy-decorator-operation': 'node-operation' },
  ...{ 'x-gateway-cluster': 'projection/s1', 'x-kept': 'kept' },
};

let edge: GatewayWithMember;
let clients: readonly ListenerClient[];
/** Ports that are nobody's business, with the one where nobody listens. */
let innerPorts: readonly string[];

beforeAll(async () => {
  edge = await startGatewayWithMember({ env: { GATEWAY_RATE_TENANT: `${TENANT_REQUESTS}/36000s` } });
  clients = await listenerClients(edge.run);
  const down = await freePort();
  const { nodes, nats, xds, authz, envoyAdmin } = edge.run;
  const addresses = [...nodes.map(({ address }) => address), nats, xds.grpc, xds.http, authz.http, envoyAdmin];
  innerPorts = [String(down), ...addresses.map((address) => /:(\d+)$/.exec(address)?.[1] ?? '')];
  await publishTenants(down);
  await spendTenant();
});
afterAll(() => edge?.[Symbol.asyncDispose]());

/** Tenants besides `acme`: one whose shards are down, and one to be used up. */
async function publishTenants(downPort: number): Promise<void> {
  const { http, admin, member } = edge;
  for (const tenant of ['down', 'spent']) await assign(http, admin, member, tenant, 'tenant-member');
  const { body: routing } = await ask(http, '/admin/routing?include=document', { token: admin.token });
  const document = Object(routing['document']);
  const shard = { endpoints: [{ address: '127.0.0.1', port: downPort }] };
  for (const kind of ['aggregate', 'projection']) {
    document[`${kind}_shards`] = { ...document[`${kind}_shards`], down: shard };
    document[`${kind}_placement`] = { ...document[`${kind}_placement`], down: 'down', spent: 's1' };
  }
  const published = await ask(http, '/admin/routing/revisions', { token: admin.token, body: document });
  expect(published.status, published.text).toBe(200);
  const code = async () => (await askTenant('down')).body['code'];
  await until(async () => (await code()) === 'upstream_unavailable', { deadlineMs: DEADLINE_MS, what: 'a shard down' });
}

const askTenant = (tenant: string) =>
  ask(edge.http, '/v1/query/orders', { token: edge.member.token, tenant, body: {} });

async function spendTenant(): Promise<void> {
  for (let sent = 0; sent <= TENANT_REQUESTS; sent += 1) {
    if ((await askTenant('spent')).status === 429) return;
  }
  throw new Error('the tenant still has requests');
}

const headersOf = (tenant: string, more: Readonly<Record<string, string>> = {}) => ({
  ...{ authorization: `Bearer ${edge.member.token}`, 'x-tenant-id': tenant, 'content-type': 'application/json' },
  ...{ 'x-echo-response-headers': JSON.stringify(TALKATIVE) },
  ...more,
});
const query = (tenant: string, more: Partial<ListenerRequest> = {}): ListenerRequest => ({
  ...{ method: 'POST', path: '/v1/query/orders', headers: headersOf(tenant), body: '{}' },
  ...more,
});

/** What can be asked over each listener in each version, by what it is answered. */
const HTTP: Readonly<Record<string, readonly [status: number, request: () => ListenerRequest]>> = {
  'a query that is served': [200, () => query('acme')],
  'a query that the node refuses': [400, () => query('acme', { body: '[]' })],
  'a command that is served': [200, () => command('acme', 'leaks.try')],
  'a command that the node refuses': [409, () => command('acme', 'test.fail.ABORTED')],
  'the API': [200, () => ({ method: 'GET', path: '/v1/auth/me', headers: headersOf('acme') })],
  'the API, refusing': [
    400,
    () => ({ method: 'POST', path: '/v1/auth/signin', headers: headersOf('acme'), body: '{}' }),
  ],
  'Envoy itself': [200, () => ({ method: 'GET', path: '/health' })],
  'no token': [401, () => query('acme', { headers: { 'x-tenant-id': 'acme' } })],
  'somebody else’s tenant': [403, () => query('globex')],
  'no such endpoint': [404, () => query('acme', { path: '/v1/nothing' })],
  'a path that is refused before anybody decides': [400, () => query('acme', { path: '/v1/query/a%2fb' })],
  'a shard that is down': [503, () => query('down')],
  'a command for a shard that is down': [503, () => command('down', 'leaks.try')],
  'a tenant that is used up': [429, () => query('spent')],
  'a body too large': [413, () => query('acme', { body: `"${'x'.repeat(LIMITS.requestBodyMaxBytes)}"` })],
};

const command = (tenant: string, type: string): ListenerRequest => ({
  method: 'POST',
  path: '/v1/commands/order/leaks',
  headers: headersOf(tenant),
  body: JSON.stringify({ command_id: `${tenant}-${type}`, command_type: type }),
});

/** Fails where an answer says what it must not. */
function expectSilent({ headers, text }: ListenerAnswer): void {
  // The node's own name for itself, by which tests see who has answered; the product knows no such header.
  const { 'x-served-by': _, ...rest } = headers;
  const names = Object.keys(rest);
  expect(
    names.filter((name) => /^(server|via|x-powered-by|x-aspnet.*|x-envoy-.*|x-gateway-(?!error$).*)$/.test(name)),
  ).toEqual([]);
  // A node echoes what it was sent, and so what it was asked to say.
  const everything = `${JSON.stringify(rest)}\n${text.replace(JSON.stringify(JSON.stringify(TALKATIVE)), '')}`;
  expect(innerPorts.filter((port) => new RegExp(`\\b${port}\\b`).test(everything))).toEqual([]);
  expect(everything).not.toMatch(
    /\b(aggregate|projection|runner)\/(s\d|down)|node-(software|framework|cache|operation)/,
  );
  const isNodes = headers['x-served-by'] !== undefined;
  if (!isNodes)
    expect(everything).not.toMatch(
      /127\.0\.0\.1|envoy|ext_authz|upstream connect|reset reason|cluster|fastify|node_modules/i,
    );
}

describe('nothing is told of what is behind the gateway', () => {
  it.each(Object.entries(HTTP))('%s', async (_, [status, request]) => {
    for (const client of clients) {
      const answer = await client.send(request());
      expect([client.name, answer.status]).toEqual([client.name, status]);
      expectSilent(answer);
    }
  });

  it('headers too large', async () => {
    for (const client of clients) {
      const large = { 'x-large': 'x'.repeat(1_024 * LIMITS.requestHeadersMaxKilobytes) };
      const answer = await client.send(query('acme', { headers: headersOf('acme', large) }));
      // HTTP/2 resets the stream (docs/correlation.md).
      expect([client.name, answer.status]).toEqual([client.name, client.name.startsWith('HTTP/1') ? 431 : undefined]);
      expectSilent(answer);
    }
  });
});

const { registry } = loadCommandProtocol();
const REQUEST = 'aggregate.gateway.v1.SubmitCommandRequest';

/** One message in the framing of gRPC. */
function framed(tenant: string, type: string): Buffer {
  const fields = {
    aggregate_type: 'order',
    aggregate_id: 'leaks',
    command_id: `grpc-${tenant}-${type}`,
    command_type: type,
  };
  const message = encodeJson(registry, REQUEST, fields);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

describe('nor to those who speak gRPC', () => {
  const call = (tenant: string, type: string, more: Partial<ListenerRequest> = {}): ListenerRequest => ({
    method: 'POST',
    path: COMMAND_GRPC_PATH,
    headers: headersOf(tenant, { 'content-type': 'application/grpc', te: 'trailers' }),
    body: framed(tenant, type),
    ...more,
  });
  const CALLS: Readonly<Record<string, readonly [code: number, request: () => ListenerRequest]>> = {
    'a command that is served': [0, () => call('acme', 'leaks.grpc')],
    'a command that the node refuses': [14, () => call('acme', 'test.fail.UNAVAILABLE')],
    'no token': [
      16,
      () => call('acme', 'leaks.grpc', { headers: { 'content-type': 'application/grpc', 'x-tenant-id': 'acme' } }),
    ],
    'somebody else’s tenant': [7, () => call('globex', 'leaks.grpc')],
    'no such method': [5, () => call('acme', 'leaks.grpc', { path: '/nothing.Service/Method' })],
    'a shard that is down': [14, () => call('down', 'leaks.grpc')],
    'a tenant that is used up': [8, () => call('spent', 'leaks.grpc')],
  };

  it.each(Object.entries(CALLS))('%s', async (_, [code, request]) => {
    for (const client of clients.filter(({ name }) => name.startsWith('HTTP/2'))) {
      const answer = await client.send(request());
      expect([client.name, answer.status, answer.headers['grpc-status']]).toEqual([client.name, 200, String(code)]);
      expectSilent(answer);
    }
  });
});

it('what a node says besides is passed on', async () => {
  for (const client of clients) {
    expect((await client.send(query('acme'))).headers).toMatchObject({
      'x-kept': 'kept',
      'x-served-by': 'projection/s1',
    });
  }
});
