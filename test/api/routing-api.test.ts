import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Api, type ApiRequest, platformAdmin, type SignedIn, startApi } from '../support/api.ts';
import { routingDocument } from '../support/routing.ts';

let api: Api;
let admin: SignedIn;
beforeEach(async () => {
  api = await startApi();
  admin = await platformAdmin(api);
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

const as = (request: Omit<ApiRequest, 'token'>) => api.call({ ...request, token: admin.accessToken });
const push = (body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  as({ method: 'POST', path: '/admin/routing/revisions', body, headers });

describe('publishing', () => {
  it('publishes a document and shows it', async () => {
    const pushed = await push(routingDocument({ acme: 's1', globex: 's2' }));
    expect([pushed.status, pushed.body]).toEqual([
      200,
      { applied: 'all', revision: 1, kind_revisions: { aggregate: 1, projection: 1, runner: 1 }, changed: true },
    ]);
    const shown = await as({ method: 'GET', path: '/admin/routing' });
    expect(shown.body).toMatchObject({
      revision: 1,
      kind_revisions: { aggregate: 1, projection: 1, runner: 1 },
      by: admin.userId,
      note: '',
      at: '2026-03-01T12:00:00.000Z',
      tenants: 2,
      shards: { aggregate: 2, projection: 2, runner: 2 },
    });
    const whole = await as({ method: 'GET', path: '/admin/routing?include=document' });
    expect(whole.body.document.aggregate_placement).toEqual({ acme: 's1', globex: 's2' });
  });

  it('reports every mistake and changes nothing', async () => {
    await push(routingDocument({ acme: 's1' }));
    const answer = await push({ ...routingDocument({ acme: 's9', 'No Tenant': 's1' }), colour: 'red' });
    expect([answer.status, answer.body.code]).toEqual([400, 'validation_failed']);
    expect(answer.body.errors.length).toBeGreaterThanOrEqual(3);
    expect((await as({ method: 'GET', path: '/admin/routing' })).body.revision).toBe(1);
  });

  it('moves one tenant, rolls back, and lists what was', async () => {
    await push(routingDocument({ acme: 's1' }));
    const moved = await push({ changes: [{ tenant: 'acme', projection: 's2' }], note: 'move it' });
    expect(moved.body).toMatchObject({ revision: 2, kind_revisions: { aggregate: 1, projection: 2, runner: 1 } });
    const tenant = await as({ method: 'GET', path: '/admin/routing/tenants/acme' });
    expect(tenant.body).toMatchObject({
      tenant: 'acme',
      revision: 2,
      aggregate: { shard: 's1', epoch: 1, cluster: 'aggregate/s1' },
      projection: { shard: 's2', epoch: 2, endpoints: [{ address: '10.0.0.5', port: 9001, weight: 1 }] },
    });
    const back = await as({ method: 'POST', path: '/admin/routing/rollback', body: { revision: 1 } });
    expect(back.body.revision).toBe(3);
    const list = await as({ method: 'GET', path: '/admin/routing/revisions?limit=2' });
    expect(list.body.items.map((item: { revision: number; note: string }) => [item.revision, item.note])).toEqual([
      [3, 'rollback to revision 1'],
      [2, 'move it'],
    ]);
    const rest = await as({ method: 'GET', path: `/admin/routing/revisions?limit=2&cursor=${list.body.next_cursor}` });
    expect(rest.body.items.map((item: { revision: number }) => item.revision)).toEqual([1]);
    expect(rest.body.next_cursor).toBeUndefined();
  });

  it('holds to If-Match and answers If-None-Match', async () => {
    await push(routingDocument({ acme: 's1' }));
    const first = await as({ method: 'GET', path: '/admin/routing' });
    expect(first.headers['etag']).toBe('"1"');
    const same = await as({ method: 'GET', path: '/admin/routing', headers: { 'if-none-match': '"1"' } });
    expect([same.status, same.text]).toEqual([304, '']);
    const move = { changes: [{ tenant: 'acme', projection: 's2' }] };
    expect((await push(move, { 'if-match': '"1"' })).status).toBe(200);
    const late = await push(move, { 'if-match': '"1"' });
    expect([late.status, late.body.code]).toEqual([412, 'precondition_failed']);
    expect((await push(move, { 'if-match': 'nonsense' })).status).toBe(412);
  });

  it('takes documents larger than other bodies', async () => {
    const placements = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`tenant-${index}`, 's1']));
    const pushed = await push(routingDocument(placements));
    expect(pushed.status).toBe(200);
    expect((await as({ method: 'GET', path: '/admin/routing' })).body.tenants).toBe(2_000);
  });
});

describe('showing', () => {
  it('says not_found for what there is not', async () => {
    for (const path of ['/admin/routing', '/admin/routing/revisions/7']) {
      expect([(await as({ method: 'GET', path })).body.code, path]).toEqual(['not_found', path]);
    }
    const none = await as({ method: 'GET', path: '/admin/routing/tenants/acme' });
    expect([none.status, none.body.code]).toEqual([503, 'routing_unavailable']);
    await push(routingDocument({ acme: 's1' }));
    expect((await as({ method: 'GET', path: '/admin/routing/tenants/ghost' })).status).toBe(404);
    const bad = await as({ method: 'GET', path: '/admin/routing/revisions/x' });
    expect([bad.status, bad.body.errors[0].pointer]).toEqual([400, '/path/revision']);
  });

  it('reloads and shows what replicas route by', async () => {
    await push(routingDocument({ acme: 's1' }));
    const reload = await as({ method: 'POST', path: '/admin/routing/reload' });
    expect([reload.status, reload.body]).toEqual([200, { revision: 1, applied: 'all' }]);
    const status = await as({ method: 'GET', path: '/admin/routing/status' });
    expect(status.body).toEqual({
      envoys: [],
      replicas: [
        {
          role: 'authz',
          replica: 'a',
          routing_revision: 1,
          iam_revision: expect.any(Number),
          seen_at: '1970-01-01T00:00:00.000Z',
        },
      ],
    });
  });
});
