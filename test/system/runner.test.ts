import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ask,
  assign,
  bootstrapAdmin,
  type EdgeRequest,
  gatewayctl,
  type Person,
  signUp,
} from '../support/edge-client.ts';
import { type RunningGateway, startGateway } from '../support/launcher.ts';
import { until } from '../support/wait.ts';
import { sendHttp1 } from './edge-matrix/wire-client.ts';

/** The administration of runners through the real gateway: a tenant's own shard, or one that a platform admin names. */
let gateway: RunningGateway;
let http: string;
let platformAdmin: Person;
let tenantAdmin: Person;
let member: Person;

beforeAll(async () => {
  gateway = await startGateway();
  ({ http } = await gateway.run());
  platformAdmin = await bootstrapAdmin(gateway);
  tenantAdmin = await signUp(http, 'admin-of-acme@example.com');
  member = await signUp(http, 'member@example.com');
  await assign(http, platformAdmin, tenantAdmin, 'acme', 'tenant-admin');
  await assign(http, platformAdmin, member, 'acme', 'tenant-member');
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const jobs = (person: Person, headers: Readonly<Record<string, string>>, request: EdgeRequest = {}) =>
  ask(http, '/admin/runner/jobs/7?force=1', { token: person.token, headers, ...request });

/** What the access log says of a request, by its correlation id. */
const logged = (id: string): Promise<Record<string, unknown>> =>
  until(
    async () => {
      const text = await readFile(join(gateway.dataFolder, 'logs', 'access.log'), 'utf8');
      const line = text.split('\n').find((each) => each.includes(`"correlation_id":"${id}"`));
      return line !== undefined && Object(JSON.parse(line));
    },
    { deadlineMs: 10_000, what: `a line about ${id} in the access log` },
  );

describe("a tenant's runner", () => {
  it('is for its admins, by any method, without the prefix', async () => {
    const headers = { 'x-tenant-id': 'acme', 'x-correlation-id': 'own-shard' };
    const answer = await jobs(tenantAdmin, headers, { method: 'PUT', body: { a: 1 } });
    expect([answer.status, answer.headers.get('x-served-by')]).toEqual([200, 'runner/s1']);
    expect(answer.body).toMatchObject({ method: 'PUT', path: '/jobs/7', query: 'force=1', body: '{"a":1}' });
    expect(answer.body['headers']).toMatchObject({
      'x-tenant-id': 'acme',
      'x-principal-id': tenantAdmin.userId,
      'x-placement-epoch': expect.stringMatching(/^\d+$/),
    });
    expect(await logged('own-shard')).toMatchObject({ decided_cluster: 'runner/s1', upstream_cluster: 'runner/s1' });
  });

  it('is nothing for its members, nor for admins of another tenant', async () => {
    expect((await jobs(member, { 'x-tenant-id': 'acme' })).body).toMatchObject({ status: 403, code: 'right_missing' });
    const other = await jobs(tenantAdmin, { 'x-tenant-id': 'globex' });
    expect(other.body).toMatchObject({ status: 403, code: 'tenant_forbidden' });
    expect((await jobs(tenantAdmin, {})).body).toMatchObject({ status: 400, code: 'tenant_missing' });
  });
});

describe('a runner shard that is named', () => {
  it('is reached by a platform admin, without a tenant', async () => {
    const answer = await jobs(platformAdmin, { 'x-runner-shard': 's2', 'x-correlation-id': 'named' });
    expect([answer.status, answer.headers.get('x-served-by')]).toEqual([200, 'runner/s2']);
    expect(answer.body).toMatchObject({ shard: 's2', tenant_id: null, path: '/jobs/7' });
    const seen = Object.keys(Object(answer.body['headers']));
    expect(seen).toContain('x-principal-id');
    for (const name of ['x-runner-shard', 'x-placement-epoch', 'x-tenant-id', 'authorization', 'x-gateway-cluster']) {
      expect(seen).not.toContain(name);
    }
    const line = await logged('named');
    expect(line).toMatchObject({ decided_cluster: 'runner/s2', upstream_cluster: 'runner/s2', outcome: 'allow' });
    expect(line['decided_revision']).toBe(line['routed_revision']);
  });

  it('is asked about a tenant, wherever that one is placed', async () => {
    const headers = { 'x-runner-shard': 's2', 'x-tenant-id': 'acme' };
    const answer = await ask(http, '/admin/runner/status', { token: platformAdmin.token, headers });
    expect(answer.body).toEqual({ shard: 's2', tenant_id: 'acme', state: 'running' });
  });

  it('is refused to everybody else, to its own tenant too', async () => {
    for (const person of [tenantAdmin, member]) {
      const answer = await jobs(person, { 'x-runner-shard': 's1', 'x-tenant-id': 'acme' });
      expect(answer.body).toMatchObject({ status: 403, code: 'right_missing' });
    }
    expect((await ask(http, '/admin/runner/jobs', { headers: { 'x-runner-shard': 's1' } })).body).toMatchObject({
      code: 'token_missing',
    });
  });

  it('must exist and be named in form, once', async () => {
    expect((await jobs(platformAdmin, { 'x-runner-shard': 's9' })).body).toMatchObject({
      status: 404,
      code: 'not_found',
    });
    const malformed = { code: 'validation_failed', errors: [{ pointer: '/headers/x-runner-shard', code: 'pattern' }] };
    for (const shard of ['S2', 'runner/s2', '', 's2,s2']) {
      expect((await jobs(platformAdmin, { 'x-runner-shard': shard })).body).toMatchObject(malformed);
    }
    const authorization = `Bearer ${platformAdmin.token}`;
    const twice = await sendHttp1(Number(new URL(http).port), {
      method: 'GET',
      path: '/admin/runner/jobs',
      headers: { authorization, 'x-runner-shard': ['s2', 's2'] },
    });
    expect(JSON.parse(twice.body.toString('utf8'))).toMatchObject(malformed);
  });

  it('is no way past the decision for headers that only the gateway sets', async () => {
    const forged = { 'x-gateway-cluster': 'runner/s1', 'x-principal-id': 'usr_x', 'x-placement-epoch': '999999' };
    const answer = await jobs(platformAdmin, { ...forged, 'x-runner-shard': 's2' });
    expect(answer.headers.get('x-served-by')).toBe('runner/s2');
    expect(answer.body['headers']).toMatchObject({ 'x-principal-id': platformAdmin.userId });
    expect(answer.body['headers']).not.toHaveProperty('x-placement-epoch');
    // Where nobody reads it, it leads nowhere and stays behind.
    const query = await ask(http, '/v1/query/orders', {
      ...{ token: member.token, tenant: 'acme', body: {}, headers: { 'x-runner-shard': 's2' } },
    });
    expect(query.headers.get('x-served-by')).toBe('projection/s1');
    expect(query.body['headers']).not.toHaveProperty('x-runner-shard');
  });

  it('is called by gatewayctl', async () => {
    const env = { GATEWAY_TOKEN: platformAdmin.token };
    const run = (...args: readonly string[]) => gatewayctl(gateway, ['runner', ...args, '--json'], { env });
    const echoed = await run('GET', 'jobs/a b?force=1', '--shard', 's2');
    expect(JSON.parse(echoed.stdout)).toMatchObject({ shard: 's2', path: '/jobs/a%20b', query: 'force=1' });
    expect(JSON.parse((await run('POST', '/pause', '--tenant', 'globex')).stdout)).toMatchObject({ state: 'paused' });
    const refused = await run('GET', '/jobs', '--shard', 's9');
    expect(refused.exitCode).not.toBe(0);
    expect(JSON.parse(refused.stdout)).toMatchObject({ code: 'not_found' });
  });
});
