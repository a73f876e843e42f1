import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { COMMAND_GRPC_PATH, ENDPOINTS } from '#domain/endpoints.ts';
import { until } from '../../support/wait.ts';
import { callGrpc, sendRaw } from './rig/clients.ts';
import { decideByTarget, type Edge, startEdge } from './rig/edge.ts';

/** The generated configuration in a real Envoy: who is asked, who decides, and where requests go. */
let edge: Edge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge?.[Symbol.asyncDispose]());
beforeEach(() => {
  edge.authz.decide = decideByTarget;
  edge.authz.checks.length = 0;
});

const post = (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${edge.http}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-tenant-id': 'acme', authorization: 'Bearer t', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const address = () => `127.0.0.1:${edge.port}`;
const command = { command_id: 'c1', command_type: 'place' };
const logged = async (requestId: string) =>
  until(
    async () => {
      const lines = (await readFile(edge.accessLog, 'utf8')).split('\n').filter((line) => line.includes(requestId));
      return lines.map((line): Record<string, unknown> => JSON.parse(line))[0];
    },
    { deadlineMs: 10_000, what: 'the access log line' },
  );

describe('an allowed request goes where the decision says', () => {
  it('as a command in JSON, made a gRPC call before the decision', async () => {
    const response = await post('/v1/commands/order/42', command);
    expect([response.status, response.headers.get('x-served-by')]).toEqual([200, 'aggregate/s1']);
    expect(response.headers.get('x-routing-revision')).toBe('1');
    expect(await response.json()).toMatchObject({ command_id: 'c1', version: '1' });
    expect(edge.authz.checks).toMatchObject([
      {
        path: COMMAND_GRPC_PATH,
        context: { target: 'aggregate', stamp: '1' },
        message: { aggregate_type: ['order'], aggregate_id: ['42'], command_id: ['c1'] },
      },
    ]);
  });

  it('as a command in gRPC', async () => {
    const answer = await callGrpc(address(), {
      message: { aggregate_type: 'order', aggregate_id: '43', ...command, command_id: 'c43' },
    });
    expect(answer).toMatchObject({ code: 0, metadata: { 'x-served-by': 'aggregate/s1' } });
    expect(edge.authz.checks[0]?.message).toMatchObject({ aggregate_type: ['order'], command_id: ['c43'] });
  });

  it('as a query, with the headers of the decision and without those of the client and of the gateway', async () => {
    const response = await post('/v1/query/orders', {}, { cookie: 'a=b' });
    expect([response.status, response.headers.get('x-served-by')]).toEqual([200, 'projection/s1']);
    const { headers } = JSON.parse(await response.text());
    expect(headers).toMatchObject({ 'x-principal-id': 'usr_1', 'x-decision-id': 'dec_1', 'x-placement-epoch': '1' });
    for (const name of ['authorization', 'cookie', 'x-gateway-cluster', 'x-gateway-command-id'])
      expect(headers).not.toHaveProperty(name);
  });

  it('as administration of a runner, without the prefix', async () => {
    const response = await fetch(`${edge.http}/admin/runner/jobs/7?full=1`, { headers: { 'x-tenant-id': 'acme' } });
    expect(await response.json()).toMatchObject({ path: '/jobs/7', query: 'full=1' });
    const log = await logged(response.headers.get('x-request-id') ?? '?');
    expect(log).toMatchObject({ path: '/admin/runner/jobs/7', matched_path: '/jobs/7', route: 'runner' });
  });

  it('as a call of the API', async () => {
    const response = await fetch(`${edge.http}/v1/auth/me?x=1`);
    expect(await response.json()).toMatchObject({ method: 'GET', path: '/v1/auth/me?x=1' });
  });

  it('and the access log says by which revisions', async () => {
    const response = await post('/v1/query/orders?secret=1', {});
    const log = await logged(response.headers.get('x-request-id') ?? '?');
    expect(log).toMatchObject({
      routed_revision: '1',
      decided_revision: '1',
      decision_id: 'dec_1',
      upstream_cluster: 'projection/s1',
      path: '/v1/query/orders',
      status: 200,
    });
    expect(JSON.stringify(log)).not.toContain('secret');
  });

  it('by the repeatable route only with a command id', async () => {
    const withId = await post('/v1/commands/order/44', { ...command, command_id: 'c2' });
    const without = await post('/v1/commands/order/44', { command_type: 'place' }, { 'x-gateway-command-id': '["x"]' });
    expect((await logged(withId.headers.get('x-request-id') ?? '?'))['route']).toBe('aggregate-repeatable');
    expect((await logged(without.headers.get('x-request-id') ?? '?'))['route']).toBe('aggregate');
  });
});

describe('nothing passes without a decision', () => {
  it('asks about every endpoint, naming its target and the stamp', async () => {
    for (const row of ENDPOINTS.filter(({ target }) => target !== 'envoy')) {
      edge.authz.checks.length = 0;
      const path = row.path.replaceAll(/\{[a-z_]+(\.\.\.)?\}/g, 'order');
      const body = row.method === 'GET' || row.method === 'DELETE' ? null : '{}';
      await (await fetch(`${edge.http}${path}`, { method: row.method, body })).arrayBuffer();
      expect([row.id, edge.authz.checks.map(({ context }) => context)]).toEqual([
        row.id,
        [{ target: row.target, stamp: '1' }],
      ]);
    }
  });

  it.each([
    ['GET', '/'],
    ['POST', '/v1'],
    ['GET', '/ADMIN/routing'],
    ['PUT', '/v1/commands/order/42'],
    ['POST', '/v1/commands/order'],
    ['POST', '/v1/commands/order/42/'],
    ['POST', '/v1/commands/order/%ff'],
    ['POST', '/aggregate.gateway.v1.CommandService/Other'],
    ['OPTIONS', '/v1/query/x'],
    ['POST', '/health'],
    ['GET', '/health/'],
    ['GET', '/ready'],
    ['GET', '/admin/runner'],
    ['GET', '//v1//auth/me'],
    ['GET', '/v1/auth/../auth/me'],
  ])('%s %s is decided about', async (method, path) => {
    edge.authz.decide = () => ({ deny: 403, body: '{}' });
    const body = method === 'POST' || method === 'PUT' ? '{}' : null;
    expect((await fetch(`${edge.http}${path}`, { method, body })).status).toBe(403);
    expect(edge.authz.checks).toHaveLength(1);
  });

  it.each([
    [
      'WebSocket',
      'GET /v1/query/x HTTP/1.1\r\nHost: gw\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n',
      426,
    ],
    ['CONNECT', 'CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: gw\r\n\r\n', 404],
    ['TRACE', 'TRACE /v1/query/x HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n', 403],
  ])('%s does not pass', async (_, request, status) => {
    edge.authz.decide = () => ({ deny: 403, body: '{}' });
    expect(await sendRaw(edge.port, request)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it('only Envoy is alive by itself', async () => {
    const response = await fetch(`${edge.http}/health`);
    expect([response.status, await response.text()]).toEqual([200, '{"status":"ok"}']);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(edge.authz.checks).toEqual([]);
  });
});

describe('a client that forges the headers of the gateway', () => {
  it.each(['runner/s1', 'aggregate/s1', 'api', 'authz_api', 'xds', ''])(
    'as x-gateway-cluster "%s" changes nothing',
    async (value) => {
      const response = await post('/v1/query/orders', {}, { 'x-gateway-cluster': value, 'X-Gateway-Cluster': value });
      expect(response.headers.get('x-served-by')).toBe('projection/s1');
      expect(edge.authz.checks).toHaveLength(1);
      edge.authz.decide = () => ({ deny: 403, body: '{}' });
      expect((await post('/v1/query/orders', {}, { 'x-gateway-cluster': value })).status).toBe(403);
    },
  );

  it('is not believed to be somebody, nor to have been transcoded', async () => {
    await post(
      '/v1/query/orders',
      {},
      {
        'x-principal-id': 'usr_evil',
        'x-decision-id': 'dec_evil',
        'x-envoy-original-method': 'POST',
        'x-envoy-original-path': '/x',
        'x-envoy-retry-on': '5xx',
      },
    );
    const names = edge.authz.checks[0]?.headers.map(([name]) => name) ?? [];
    for (const name of [
      'x-principal-id',
      'x-decision-id',
      'x-envoy-original-method',
      'x-envoy-original-path',
      'x-envoy-retry-on',
    ])
      expect(names).not.toContain(name);
    expect(names).toContain('authorization');
  });
});

describe('the decision is about the final message', () => {
  it.each([
    ['a query parameter', '/v1/commands/order/42?aggregate_type=invoice', '{}'],
    ['a query parameter in camelCase', '/v1/commands/order/42?aggregateType=invoice', '{}'],
    ['two query parameters', '/v1/commands/order/42?aggregate_type=order&aggregate_type=invoice', '{}'],
    ['a member in two spellings', '/v1/commands/order/42', '{"aggregate_type":"order","aggregateType":"invoice"}'],
  ])('though %s says another type than the path', async (_, path, body) => {
    const response = await post(path, body);
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.headers.get('x-served-by')).toBeNull();
    // Either refused before, or judged as what it is: never as an order.
    for (const { message } of edge.authz.checks) expect(message?.['aggregate_type']).not.toEqual(['order']);
  });

  it('and a kind cannot be reached by the path of another', async () => {
    for (const cluster of ['runner/s1', 'aggregate/s1', 'xds', 'authz', 'projection', '']) {
      edge.authz.decide = () => ({ allow: cluster });
      const response = await post('/v1/query/orders', {});
      expect([cluster, response.status, response.headers.get('x-gateway-error')]).toEqual([
        cluster,
        503,
        'routing_unavailable',
      ]);
    }
  });
});

describe('a new revision', () => {
  it('is the stamp of the next requests, in Envoy and in the decision', async () => {
    const next = edge.apply((nodes) => ({
      aggregate_placement: { acme: 's1' },
      projection_placement: { acme: 's2' },
      runner_placement: { acme: 's1' },
      aggregate_shards: { s1: { endpoints: [{ address: '127.0.0.1', port: nodes.aggregate }] } },
      projection_shards: {
        s1: { endpoints: [{ address: '127.0.0.1', port: nodes.projection }] },
        s2: { endpoints: [{ address: 'localhost', port: nodes.projection }] },
      },
      runner_shards: { s1: { endpoints: [{ address: '127.0.0.1', port: nodes.runner }] } },
    }));
    await until(() => edge.controlPlane.envoys()[0]?.acked === next.revision, {
      deadlineMs: 10_000,
      what: 'the stamp',
    });
    edge.authz.decide = () => ({ allow: 'projection/s2' });
    const response = await post('/v1/query/orders', {});
    expect(response.status).toBe(200);
    expect(edge.authz.checks[0]?.context['stamp']).toBe(String(next.revision));
    expect(await logged(response.headers.get('x-request-id') ?? '?')).toMatchObject({
      routed_revision: String(next.revision),
      upstream_cluster: 'projection/s2',
    });
  });

  it('was taken over by Envoy without a rejection, like all before', async () => {
    expect(edge.events.filter(({ kind }) => kind === 'rejected')).toEqual([]);
    const stats = await edge.envoy.admin('/stats?filter=update_rejected');
    expect(stats.split('\n').filter((line) => line !== '' && !line.endsWith(': 0'))).toEqual([]);
  });
});
