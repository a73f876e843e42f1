import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ask,
  assign,
  bootstrapAdmin,
  commandClient,
  gatewayctl,
  metadataOf,
  move,
  PASSWORD,
  type Person,
  signUp,
} from '../support/edge-client.ts';
import { type RunningGateway, startGateway } from '../support/launcher.ts';

/** The main way of the product with all real parts: identity, decisions, placement and a move. */
let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;
let stranger: Person;

beforeAll(async () => {
  gateway = await startGateway();
  ({ http } = await gateway.run());
  admin = await bootstrapAdmin(gateway);
  member = await signUp(http, 'member@example.com');
  stranger = await signUp(http, 'stranger@example.com');
  const assigned = await assign(http, admin, member, 'acme', 'tenant-member');
  expect(assigned.status).toBe(201);
  expect(assigned.body).toMatchObject({ applied: 'all' });
  expect(assigned.body['id']).toEqual(expect.any(String));
  expect(assigned.body['revision']).toEqual(expect.any(Number));
});
afterAll(() => gateway[Symbol.asyncDispose]());

const command = (id: string) => ({ command_id: id, command_type: 'order.place', payload: { amount: 3 } });
const query = (person: Person | undefined, tenant: string | undefined, headers: Record<string, string> = {}) =>
  ask(http, '/v1/query/orders', { token: person?.token, tenant, body: {}, headers });

describe('a member of a tenant', () => {
  it('queries a projection on the tenant’s shard, which is told who asks and nothing it must not know', async () => {
    const answer = await query(member, 'acme', { 'x-correlation-id': 'corr:1', cookie: 'a=b' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-served-by')).toBe('projection/s1');
    expect(answer.headers.get('x-correlation-id')).toBe('corr:1');
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.headers.get('traceparent')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
    expect(answer.headers.get('x-routing-revision')).toBe('1');
    expect(answer.body).toMatchObject({ shard: 's1', tenant_id: 'acme', view_type: 'orders' });
    const headers = answer.body['headers'];
    expect(headers).toMatchObject({
      'x-tenant-id': 'acme',
      'x-principal-id': member.userId,
      'x-principal-kind': 'user',
      'x-correlation-id': 'corr:1',
      'x-placement-epoch': '1',
      'x-request-id': answer.headers.get('x-request-id'),
      'x-decision-id': expect.stringMatching(/^dec_[a-z2-7]{26}$/),
      traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/),
    });
    for (const name of ['authorization', 'cookie', 'x-gateway-cluster']) expect(headers).not.toHaveProperty(name);
  });

  it('sends a command by HTTP and by gRPC, with one shape, one idempotency and one history', async () => {
    const path = '/v1/commands/order/42';
    const byHttp = await ask(http, path, { token: member.token, tenant: 'acme', body: command('c-1') });
    expect(byHttp.status).toBe(200);
    expect(byHttp.headers.get('x-served-by')).toBe('aggregate/s1');
    expect(byHttp.body).toMatchObject({ command_id: 'c-1', version: '1' });
    expect(byHttp.body['events']).toEqual([
      expect.objectContaining({ event_id: expect.any(String), event_type: expect.any(String), sequence: '1' }),
    ]);
    using client = commandClient(http);
    const metadata = metadataOf({ authorization: `Bearer ${member.token}`, 'x-tenant-id': 'acme' });
    const request = { aggregate_type: 'order', aggregate_id: '42', ...command('c-2') };
    const byGrpc = await client.submit(request, metadata);
    expect(byGrpc.error).toBeUndefined();
    expect(byGrpc.response).toMatchObject({ command_id: 'c-2', version: '2' });
    expect(byGrpc.headers?.get('x-served-by')).toEqual(['aggregate/s1']);
    expect(byGrpc.headers?.get('x-correlation-id')).toHaveLength(1);
    const again = await ask(http, path, { token: member.token, tenant: 'acme', body: command('c-1') });
    expect(again.body).toEqual(byHttp.body);
  });

  it('over TLS with the development CA, h2 and HTTP/1.1 alike', async () => {
    const { https, ca } = await gateway.run();
    const { readFile } = await import('node:fs/promises');
    const { connect } = await import('node:tls');
    const authority = await readFile(ca);
    for (const protocol of ['h2', 'http/1.1']) {
      const socket = connect({
        host: 'localhost',
        port: Number(new URL(https).port),
        ca: authority,
        servername: 'localhost',
        ALPNProtocols: [protocol],
      });
      await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
      expect(socket.authorized).toBe(true);
      expect(socket.alpnProtocol).toBe(protocol);
      socket.destroy();
    }
  });
});

describe('who is not let in', () => {
  const problemOf = (code: string, statusCode: number) => ({
    type: `urn:gateway:error:${code}`,
    title: expect.any(String),
    status: statusCode,
    detail: expect.any(String),
    code,
    request_id: expect.any(String),
    correlation_id: expect.any(String),
    decision_id: expect.stringMatching(/^dec_/),
  });

  it.each([
    ['no token', () => query(undefined, 'acme'), 401, 'token_missing'],
    [
      'a token that is none',
      () => ask(http, '/v1/query/orders', { token: 'x.y.z', tenant: 'acme', body: {} }),
      401,
      'token_invalid',
    ],
    ['no tenant', () => query(member, undefined), 400, 'tenant_missing'],
    ['a bad tenant', () => query(member, 'ACME'), 400, 'tenant_invalid'],
    ['a stranger', () => query(stranger, 'acme'), 403, 'tenant_forbidden'],
    ['a member elsewhere', () => query(member, 'globex'), 403, 'tenant_forbidden'],
    ['a tenant that does not exist', () => query(member, 'nowhere'), 403, 'tenant_forbidden'],
    ['a member at the admin API', () => ask(http, '/admin/routing', { token: member.token }), 403, 'right_missing'],
    [
      'a member at the runner',
      () => ask(http, '/admin/runner/status', { token: member.token, tenant: 'acme' }),
      403,
      'right_missing',
    ],
    ['an unknown path', () => ask(http, '/nowhere'), 404, 'not_found'],
    [
      'a wrong method',
      () => ask(http, '/v1/query/orders', { method: 'GET', token: member.token }),
      405,
      'method_not_allowed',
    ],
  ])('%s', async (_, send, statusCode, code) => {
    const answer = await send();
    expect(answer.status).toBe(statusCode);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    const { decision_id: decisionId, ...expected } = problemOf(code, statusCode);
    expect(answer.body).toMatchObject(code === 'not_found' ? expected : { ...expected, decision_id: decisionId });
    expect(answer.headers.get('x-correlation-id')).toBe(answer.body['correlation_id']);
    expect(answer.headers.get('x-request-id')).toBe(answer.body['request_id']);
    if (statusCode === 401) expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
  });

  it.each([
    ['no token', {}, status.UNAUTHENTICATED, 'token_missing'],
    ['no tenant', { token: true }, status.INVALID_ARGUMENT, 'tenant_missing'],
    ['a member elsewhere', { token: true, tenant: 'globex' }, status.PERMISSION_DENIED, 'tenant_forbidden'],
  ])('%s, by gRPC', async (_, { token, tenant }: { token?: boolean; tenant?: string }, code, reason) => {
    using client = commandClient(http);
    const authorization = token === true ? `Bearer ${member.token}` : undefined;
    const request = { aggregate_type: 'order', aggregate_id: '1', ...command('c-9') };
    const { error } = await client.submit(request, metadataOf({ authorization, 'x-tenant-id': tenant }));
    expect(error?.code).toBe(code);
    expect(error?.metadata.get('x-gateway-error')).toEqual([reason]);
    expect(error?.metadata.get('x-correlation-id')).toHaveLength(1);
  });

  it('a forged locator in any spelling changes nothing', async () => {
    for (const name of ['x-gateway-cluster', 'X-Gateway-Cluster', 'X-GATEWAY-CLUSTER']) {
      const answer = await query(member, 'acme', { [name]: 'projection/s2' });
      expect(answer.headers.get('x-served-by')).toBe('projection/s1');
    }
    const forged = { 'x-principal-id': 'usr_king', 'x-placement-epoch': '99', 'x-decision-id': 'mine' };
    const answer = await query(member, 'acme', forged);
    expect(answer.body['headers']).toMatchObject({ 'x-principal-id': member.userId, 'x-placement-epoch': '1' });
    expect(answer.body['headers']).not.toMatchObject({ 'x-decision-id': 'mine' });
  });

  it.each([
    ['a query parameter', '/v1/commands/order/42?aggregate_type=invoice', {}],
    ['its JSON spelling', '/v1/commands/order/42?aggregateType=invoice', {}],
    ['twice, the second other', '/v1/commands/order/42?aggregate_type=order&aggregate_type=invoice', {}],
    ['the body under two spellings', '/v1/commands/order/42', { aggregate_type: 'order', aggregateType: 'invoice' }],
  ])('a command cannot be one thing in its path and another by %s', async (_, path, extra) => {
    const body = { ...command('c-20'), ...extra };
    const answer = await ask(http, path, { token: member.token, tenant: 'acme', body });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.headers.get('x-served-by')).toBeNull();
  });

  it('a command without its id is refused with the field named', async () => {
    const answer = await ask(http, '/v1/commands/order/42', {
      token: member.token,
      tenant: 'acme',
      body: { command_type: 'order.place' },
    });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ code: 'validation_failed', errors: [{ pointer: '/command_id' }] });
  });

  it('a second bootstrap', async () => {
    const { bootstrapToken } = await gateway.run();
    const again = await ask(http, '/v1/auth/bootstrap', {
      body: { bootstrap_token: bootstrapToken, email: 'evil@example.com', password: PASSWORD },
    });
    expect(again.status).toBeGreaterThanOrEqual(400);
    expect(
      (await ask(http, '/v1/auth/signin', { body: { email: 'evil@example.com', password: PASSWORD } })).status,
    ).toBe(401);
  });
});

describe('routing', () => {
  it('a move is in force for the next request, and only for the kind that moved', async () => {
    const moved = await move(http, admin, { tenant: 'acme', projection: 's2' });
    expect(moved.status).toBe(200);
    expect(moved.body).toMatchObject({
      revision: expect.any(Number),
      kind_revisions: { projection: moved.body['revision'] },
    });
    const answer = await query(member, 'acme');
    expect(answer.headers.get('x-served-by')).toBe('projection/s2');
    expect(answer.body['headers']).toMatchObject({ 'x-placement-epoch': String(moved.body['revision']) });
    const commanded = await ask(http, '/v1/commands/order/43', {
      token: member.token,
      tenant: 'acme',
      body: command('c-3'),
    });
    expect(commanded.headers.get('x-served-by')).toBe('aggregate/s1');
  });

  it('a document with three mistakes is refused with three errors, and nothing changes', async () => {
    const before = await ask(http, '/admin/routing', { token: admin.token });
    const document = {
      aggregate_placement: { acme: 'nowhere', 'Not A Tenant': 's1' },
      aggregate_shards: { s1: { endpoints: [{ address: '127.0.0.1', port: 99_999 }] } },
    };
    const refused = await ask(http, '/admin/routing/revisions', { token: admin.token, body: document });
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({ code: 'validation_failed' });
    expect(refused.body['errors']).toHaveLength(3);
    const after = await ask(http, '/admin/routing', { token: admin.token });
    expect(after.body['revision']).toBe(before.body['revision']);
    expect((await query(member, 'acme')).status).toBe(200);
  });

  it('gatewayctl signs in, shows, moves and pushes', async () => {
    const login = await gatewayctl(gateway, ['login', '--email', admin.email, '--password-stdin'], {
      input: `${PASSWORD}\n`,
    });
    expect(login).toMatchObject({ exitCode: 0 });
    const moved = await gatewayctl(gateway, ['routing', 'move', 'acme', '--projection', 's1', '--json']);
    expect(moved).toMatchObject({ exitCode: 0 });
    expect((await query(member, 'acme')).headers.get('x-served-by')).toBe('projection/s1');
    const shown = await gatewayctl(gateway, ['routing', 'show', '--json']);
    expect(JSON.parse(shown.stdout)).toMatchObject({ revision: JSON.parse(moved.stdout).revision });
    const file = join(gateway.dataFolder, 'bad.json');
    await writeFile(file, JSON.stringify({ aggregate_placement: { acme: 'x', globex: 'y', BAD: 's1' } }));
    const pushed = await gatewayctl(gateway, ['routing', 'push', file]);
    expect(pushed.exitCode).toBe(1);
    for (const pointer of ['/aggregate_placement/acme', '/aggregate_placement/globex', '/aggregate_placement/BAD']) {
      expect(pushed.stderr).toContain(pointer);
    }
  });

  it('a tenant that is unplaced is 404 for its members', async () => {
    const unplaced = await ask(http, '/admin/routing/revisions', {
      token: admin.token,
      body: { changes: [{ tenant: 'acme', runner: null }] },
    });
    expect(unplaced.status).toBe(200);
    expect((await assign(http, admin, member, 'acme', 'tenant-admin')).status).toBe(201);
    const answer = await ask(http, '/admin/runner/status', { token: member.token, tenant: 'acme' });
    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({ code: 'tenant_unplaced' });
    await move(http, admin, { tenant: 'acme', runner: 's2' });
    const served = await ask(http, '/admin/runner/status', { token: member.token, tenant: 'acme' });
    expect(served.status).toBe(200);
    expect(served.headers.get('x-served-by')).toBe('runner/s2');
  });

  it('status tells of the Envoy and its stamp', async () => {
    const { body } = await ask(http, '/admin/routing/status', { token: admin.token });
    const { body: current } = await ask(http, '/admin/routing', { token: admin.token });
    expect(body['envoys']).toEqual([
      expect.objectContaining({ stamp: current['revision'], acked: current['revision'], rejected: [] }),
    ]);
  });
});

describe('health', () => {
  it('/health and /ready answer without a token; /metrics is not to be had', async () => {
    expect(await ask(http, '/health')).toMatchObject({ status: 200, body: { status: 'ok' } });
    const ready = await ask(http, '/ready');
    expect(ready.status).toBe(200);
    expect(ready.body['conditions']).toEqual(
      expect.arrayContaining([expect.objectContaining({ name: 'routing_revision', ok: true })]),
    );
    expect((await ask(http, '/metrics')).status).toBe(404);
  });

  it('metrics are on the internal ports', async () => {
    const { authz, xds } = await gateway.run();
    const decisions = await ask(authz.http, '/metrics');
    expect(decisions.text).toMatch(/gateway_authz_decisions_total\{[^}]*reason="tenant_forbidden"[^}]*\} [1-9]/);
    const served = await ask(xds.http, '/metrics');
    expect(served.text).toMatch(/gateway_xds_envoys\{[^}]*\} 1/);
  });
});
