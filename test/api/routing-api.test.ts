import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Api, type ApiRequest, platformAdmin, type SignedIn, startApi } from '../support/api.ts';
import { envoyState, routingDocument } from '../support/routing.ts';
import { until } from '../support/wait.ts';

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
    expect([late.status, late.body.code, late.body.current_revision]).toEqual([412, 'precondition_failed', 2]);
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
      head: null,
      quarantined: [],
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

it('shows what became of a table that was put into head by hand', async () => {
  const errors = [{ pointer: '/aggregate_placement/acme', code: 'unknown_shard', detail: 's9 is not there' }];
  api.head = { source: 'inline', state: 'refused', at: '2026-01-01T00:00:00.000Z', revision: 1, detail: 'no', errors };
  const { body } = await as({ method: 'GET', path: '/admin/routing/status' });
  expect(body.head).toEqual(api.head);
});

describe('two at once', () => {
  /** Publications wait in front of their decision until they are released. Each reads the head once when it arrives, once in its turn. */
  function holdFirst() {
    let release: () => void = () => undefined;
    let reached = false;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    api.routing.reads = 0;
    api.routing.beforePublish = async () => {
      reached = true;
      await gate;
    };
    return { release, isReached: () => reached };
  }

  it('one document wins; the other is a conflict that names the winner, and undoes nothing', async () => {
    await push(routingDocument({ acme: 's1' }));
    const { release, isReached } = holdFirst();
    const first = push(routingDocument({ acme: 's2' }));
    await until(isReached, { deadlineMs: 5_000, what: 'the first to be under way' });
    const second = push(routingDocument({ globex: 's1' }));
    const third = as({ method: 'POST', path: '/admin/routing/rollback', body: { revision: 1 } });
    // Both have looked at revision 1 by now and wait for their turn.
    await until(() => api.routing.reads >= 4, { deadlineMs: 5_000, what: 'the others to have arrived' });
    release();
    expect((await first).body).toMatchObject({ revision: 2, changed: true });
    for (const answer of [await second, await third]) {
      expect([answer.status, answer.body.code, answer.body.current_revision]).toEqual([409, 'conflict', 2]);
      expect(answer.body.detail).toContain(`Revision 2 by ${admin.userId}`);
    }
    expect(api.routing.kept).toHaveLength(2);
  });

  it('small changes are never a conflict: both are in force', async () => {
    await push(routingDocument({ acme: 's1', globex: 's1' }));
    const { release, isReached } = holdFirst();
    const first = push({ changes: [{ tenant: 'acme', runner: 's2' }] });
    await until(isReached, { deadlineMs: 5_000, what: 'the first to be under way' });
    const second = push({ changes: [{ tenant: 'globex', runner: 's2' }] });
    release();
    expect([(await first).body.revision, (await second).body.revision]).toEqual([2, 3]);
    const { placements } = api.routing.kept[2] ?? expect.fail('no third revision');
    expect([placements.get('acme')?.runner?.shard, placements.get('globex')?.runner?.shard]).toEqual(['s2', 's2']);
  });

  it('the same content twice is no conflict', async () => {
    const { release, isReached } = holdFirst();
    const first = push(routingDocument({ acme: 's1' }));
    await until(isReached, { deadlineMs: 5_000, what: 'the first to be under way' });
    const second = push(routingDocument({ acme: 's1' }));
    await until(() => api.routing.reads >= 3, { deadlineMs: 5_000, what: 'the second to have arrived' });
    release();
    expect([(await first).body.changed, (await second).body.changed]).toEqual([true, false]);
  });
});

describe('differences', () => {
  const diff = (path: string) => as({ method: 'GET', path: `/admin/routing/revisions/${path}` });
  const none = { added: [], removed: [], changed: [] };
  const noShards = { aggregate: none, projection: none, runner: none };

  it('of a revision from its parent, or from any other', async () => {
    await push(routingDocument({ acme: 's1', globex: 's1' }));
    await push({ changes: [{ tenant: 'acme', projection: 's2' }] });
    await push({ changes: [{ tenant: 'acme', projection: 's1', runner: null }] });
    const last = await diff('3/diff');
    expect([last.status, last.body]).toEqual([
      200,
      {
        from: 2,
        to: 3,
        shards: noShards,
        totals: { shards: 0, placements: 2, tenants: 1 },
        items: [
          { tenant: 'acme', kind: 'projection', before: 's2', after: 's1' },
          { tenant: 'acme', kind: 'runner', before: 's1', after: null },
        ],
      },
    ]);
    expect((await diff('3/diff?from=1')).body.items).toEqual([
      { tenant: 'acme', kind: 'runner', before: 's1', after: null },
    ]);
    const first = await diff('1/diff');
    expect(first.body).toMatchObject({ from: 0, totals: { shards: 6, placements: 6, tenants: 2 } });
    expect(first.body.shards.runner.added).toEqual(['s1', 's2']);
    expect((await diff('1/diff?from=1')).body.totals).toEqual({ shards: 0, placements: 0, tenants: 0 });
  });

  it('come in pages', async () => {
    await push(routingDocument({ a: 's1', b: 's1', c: 's1' }));
    const items: unknown[] = [];
    let cursor = '';
    for (let page = 0; page < 5; page += 1) {
      const { body } = await diff(`1/diff?limit=2${cursor}`);
      expect(body.totals.placements).toBe(9);
      items.push(...body.items);
      if (body.next_cursor === undefined) break;
      cursor = `&cursor=${body.next_cursor}`;
    }
    expect(items).toEqual((await diff('1/diff')).body.items);
    expect(items).toHaveLength(9);
  });

  it('of what is not kept or no revision are refused', async () => {
    await push(routingDocument({ acme: 's1' }));
    for (const path of ['7/diff', '1/diff?from=7']) {
      expect([path, (await diff(path)).status]).toEqual([path, 404]);
    }
    for (const [path, pointer] of [
      ['x/diff', '/path/revision'],
      ['1/diff?from=x', '/query/from'],
      ['1/diff?cursor=x', '/query/cursor'],
    ]) {
      const answer = await diff(path ?? '');
      expect([answer.status, answer.body.errors[0].pointer]).toEqual([400, pointer]);
    }
  });
});

describe('a dry run', () => {
  const dry = (body: unknown, headers = {}) =>
    as({ method: 'POST', path: '/admin/routing/revisions?dry_run=true', body, headers });

  it('of a document, of changes and of a rollback tells what would change and publishes nothing', async () => {
    const document = routingDocument({ acme: 's1', globex: 's1' });
    const first = await dry(document);
    expect(first.body).toMatchObject({ dry_run: true, revision: 0, from: 0, to: 1, changed: true });
    expect(api.routing.kept).toEqual([]);
    await push(document);
    const moved = await dry({ changes: [{ tenant: 'acme', runner: 's2' }] });
    expect(moved.body).toMatchObject({
      dry_run: true,
      revision: 1,
      from: 1,
      to: 2,
      changed: true,
      tenants_on_changed_shards: 0,
      totals: { shards: 0, placements: 1, tenants: 1 },
      items: [{ tenant: 'acme', kind: 'runner', before: 's1', after: 's2' }],
    });
    const shards = { s1: { endpoints: [{ address: '10.9.9.9', port: 1 }] }, s2: document['runner_shards']?.['s2'] };
    const changed = await dry({ ...document, runner_shards: shards });
    expect(changed.body).toMatchObject({
      totals: { shards: 1, placements: 0, tenants: 0 },
      tenants_on_changed_shards: 2,
      shards: { runner: { added: [], removed: [], changed: ['s1'] } },
    });
    expect((await dry(document)).body).toMatchObject({ changed: false, from: 1, to: 1, items: [] });
    await push({ changes: [{ tenant: 'acme', runner: 's2' }] });
    const path = '/admin/routing/rollback?dry_run=true';
    const back = await as({ method: 'POST', path, body: { revision: 1 } });
    expect(back.body).toMatchObject({
      revision: 2,
      to: 3,
      items: [{ tenant: 'acme', kind: 'runner', before: 's2', after: 's1' }],
    });
    expect(api.routing.kept).toHaveLength(2);
  });

  it('refuses what the publication would refuse', async () => {
    await push(routingDocument({ acme: 's1' }));
    const mistaken = await dry({ ...routingDocument({ acme: 's9' }), colour: 'red' });
    expect([mistaken.status, mistaken.body.code]).toEqual([400, 'validation_failed']);
    expect(mistaken.body.errors.length).toBeGreaterThanOrEqual(2);
    expect((await dry({ changes: [{ tenant: 'acme', runner: 's9' }] })).status).toBe(400);
    const late = await dry(routingDocument({ acme: 's2' }), { 'if-match': '"7"' });
    expect([late.status, late.body.current_revision]).toEqual([412, 1]);
    const path = '/admin/routing/rollback?dry_run=true';
    expect((await as({ method: 'POST', path, body: { revision: 9 } })).status).toBe(404);
    const strange = await as({ method: 'POST', path: '/admin/routing/revisions?dry_run=yes', body: {} });
    expect(strange.body.errors[0].pointer).toBe('/query/dry_run');
  });
});

describe('the swap record', () => {
  const PUBLISHED_MS = Date.parse('2026-03-01T12:00:00.000Z');

  it('puts together what the replicas remember', async () => {
    await push(routingDocument({ acme: 's1' }));
    api.board.envoys = [envoyState('edge-1', 1), envoyState('edge-2', 0)];
    const xds = {
      sinceMs: 0,
      loaded: { revision: 1, atMs: PUBLISHED_MS + 1 },
      stamped: { revision: 1, atMs: PUBLISHED_MS + 2 },
      envoys: [
        { node: 'edge-1', acked: { revision: 1, atMs: PUBLISHED_MS + 5 }, rejected: [] },
        {
          node: 'edge-2',
          rejected: [{ type: 'T', names: ['aggregate/s1'], error: 'no', atMs: PUBLISHED_MS + 4 }],
        },
      ],
    };
    api.board.answers = ({ topic, body }) => {
      expect([topic, body]).toEqual(['routing.swap', { revision: 1 }]);
      return [
        { role: 'xds', replica: 'x', body: xds },
        { role: 'authz', replica: 'odd', body: 'unreadable' },
      ];
    };
    const { status, body } = await as({ method: 'GET', path: '/admin/routing/revisions/1/swap' });
    expect([status, body]).toEqual([
      200,
      {
        revision: 1,
        published_at: '2026-03-01T12:00:00.000Z',
        by: admin.userId,
        note: '',
        complete: false,
        requests: 0,
        envoys: [
          {
            node: 'edge-1',
            live: true,
            serving: true,
            acked_at: '2026-03-01T12:00:00.005Z',
            duration_ms: 5,
            stamp: 1,
            rejected: [],
          },
          {
            node: 'edge-2',
            live: true,
            serving: false,
            rejected: [{ type: 'T', names: ['aggregate/s1'], error: 'no', at: '2026-03-01T12:00:00.004Z' }],
          },
        ],
        xds: [{ replica: 'x', loaded_at: '2026-03-01T12:00:00.001Z', stamped_at: '2026-03-01T12:00:00.002Z' }],
        authz: [],
        silent: ['authz a'],
      },
    ]);
    expect((await as({ method: 'GET', path: '/admin/routing/revisions/2/swap' })).status).toBe(404);
    expect((await as({ method: 'GET', path: '/admin/routing/revisions/x/swap' })).status).toBe(400);
  });
});

it('the status tells what an Envoy rejected, in its own words', async () => {
  const rejected = [{ type: 'T', names: ['runner/s1'], error: 'bad weight', at: '2026-03-01T12:00:00.000Z' }];
  api.board.envoys = [envoyState('edge-1', 3, rejected)];
  const { body } = await as({ method: 'GET', path: '/admin/routing/status' });
  expect(body.envoys).toEqual([
    { node: 'edge-1', stamp: 3, acked: 3, connected_at: '2026-03-01T11:00:00.000Z', rejected },
  ]);
});
