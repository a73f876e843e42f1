import { describe, expect, test } from 'vitest';
import { type Answer, type Handler, type Run, runCli, type SeenRequest, startLocalApi } from './harness.ts';

/** Runs one call with a token against an API that gives one answer to everything. */
async function ask(
  words: readonly string[],
  answer: Answer | Handler,
  input?: string,
): Promise<Run & { readonly seen: readonly SeenRequest[] }> {
  await using api = await startLocalApi(typeof answer === 'function' ? answer : () => answer);
  const run = await runCli(words, { url: api.url, token: 'token', ...(input === undefined ? {} : { input }) });
  return { ...run, seen: api.seen };
}

const none = { added: [], removed: [], changed: [] };
const difference = {
  from: 3,
  to: 5,
  shards: {
    aggregate: { added: ['s3'], removed: ['s2'], changed: [] },
    projection: none,
    runner: { ...none, changed: ['s1'] },
  },
  totals: { shards: 3, placements: 2, tenants: 1 },
  items: [
    { tenant: 'acme', kind: 'projection', before: 's1', after: 's2' },
    { tenant: 'acme', kind: 'runner', before: 's1', after: null },
  ],
};

describe('routing diff', () => {
  test('shows shards, placements and how many there are', async () => {
    const { code, out, seen } = await ask(['routing', 'diff', '3', '5'], { body: difference });
    expect(seen.map(({ path }) => path)).toEqual(['/admin/routing/revisions/5/diff?from=3&limit=100']);
    expect([code, out]).toEqual([
      0,
      [
        'revision 3 -> 5',
        'KIND       SHARD  CHANGE',
        'aggregate  s3     added',
        'aggregate  s2     removed',
        'runner     s1     changed',
        '',
        'TENANT  KIND        BEFORE  AFTER',
        'acme    projection  s1      s2',
        'acme    runner      s1      -',
        '',
        '3 shards, 2 placements of 1 tenants',
        '',
      ].join('\n'),
    ]);
  });

  test('compares one revision alone with its parent, and says when nothing differs', async () => {
    const same = { ...difference, totals: { shards: 0, placements: 0, tenants: 0 }, items: [] };
    const { out, seen } = await ask(['routing', 'diff', '5'], { body: same });
    expect(seen[0]?.path).toBe('/admin/routing/revisions/5/diff?limit=100');
    expect(out).toBe('revision 3 -> 5\nno difference\n');
  });

  test('reads page after page up to the limit, and says what it does not show', async () => {
    const items = Array.from({ length: 1_200 }, (_, index) => ({
      tenant: `t${index}`,
      kind: 'runner',
      before: 'a',
      after: 'b',
    }));
    const totals = { shards: 0, placements: 1_200, tenants: 1_200 };
    const paged: Handler = ({ path }) => {
      const query = new URL(path, 'http://x').searchParams;
      const [start, limit] = [Number(query.get('cursor') ?? 0), Number(query.get('limit'))];
      const end = start + limit;
      const next = end < items.length ? { next_cursor: String(end) } : {};
      return { body: { ...difference, totals, items: items.slice(start, end), ...next } };
    };
    const whole = await ask(['routing', 'diff', '5', '--limit', '5000', '--json'], paged);
    expect(JSON.parse(whole.out).items).toEqual(items);
    const part = await ask(['routing', 'diff', '5', '--limit', '700'], paged);
    expect(part.seen).toHaveLength(2);
    expect(part.out).toContain('1200 placements of 1200 tenants (500 not shown)');
  });

  test.each([[['x']], [['1', 'x']], [[]], [['1', '2', '3']]])('%j is a usage mistake', async (words) => {
    expect(await ask(['routing', 'diff', ...words], {})).toMatchObject({ code: 2, seen: [] });
  });
});

describe('--dry-run', () => {
  const answer: Answer = {
    body: { dry_run: true, revision: 4, changed: true, tenants_on_changed_shards: 7, ...difference },
  };

  test.each([
    [['push', '-'], '/admin/routing/revisions?dry_run=true&limit=500'],
    [['move', 'acme', '--runner', 's2'], '/admin/routing/revisions?dry_run=true&limit=500'],
    [['rollback', '3'], '/admin/routing/rollback?dry_run=true&limit=500'],
  ])('of %j asks what would change and prints it', async (words, path) => {
    const { code, out, seen } = await ask(['routing', ...words, '--dry-run'], answer, '{}');
    expect(seen.map((request) => request.path)).toEqual([path]);
    expect(code).toBe(0);
    expect(out).toMatch(/^dry run, nothing is published; on top of revision 4 it would be:\n/);
    expect(out).toContain('acme    runner      s1      -');
    expect(out).toContain('7 tenants stay on shards that change');
  });

  test('of something mistaken ends like the push itself', async () => {
    const errors = [{ pointer: '/runner_placement/acme', code: 'unknown_shard', detail: 'no such shard' }];
    const refused = { status: 400, body: { code: 'validation_failed', title: 'Refused', status: 400, errors } };
    const { code, err } = await ask(['routing', 'push', '-', '--dry-run'], refused, '{}');
    expect(code).toBe(1);
    expect(err).toContain('/runner_placement/acme: no such shard');
  });
});

test('a conflict names the revision that came first', async () => {
  const problem = {
    code: 'conflict',
    title: 'Conflict',
    status: 409,
    detail: 'Revision 9 by bob',
    current_revision: 9,
  };
  const refused = { status: 409, body: problem };
  const { code, err } = await ask(['routing', 'push', '-'], refused, '{}');
  expect(code).toBe(1);
  expect(err).toContain('Revision 9 by bob');
  const json = await ask(['routing', 'push', '-', '--json'], refused, '{}');
  expect(JSON.parse(json.out)).toMatchObject({ current_revision: 9 });
});

describe('routing explain', () => {
  const place = (epoch: number) => ({
    shard: 's1',
    epoch,
    endpoints: [{ address: '10.0.0.1', port: 9001, weight: 1 }],
  });
  const handler: Handler = ({ path }) => {
    if (path === '/admin/routing/tenants/acme') {
      return { body: { tenant: 'acme', revision: 8, aggregate: place(3), projection: place(3), runner: place(1) } };
    }
    // Revision 1 is no longer kept: the list begins below it with nothing.
    const items = path.includes('cursor=4') ? [{ revision: 3, at: 'then', by: 'ann', note: 'moved' }] : [];
    return { body: { items } };
  };

  test('shows shard, epoch, endpoints, and who placed it when and why', async () => {
    const { out, seen } = await ask(['routing', 'explain', 'acme'], handler);
    expect(seen.map(({ path }) => path).sort()).toEqual([
      '/admin/routing/revisions?limit=1&cursor=2',
      '/admin/routing/revisions?limit=1&cursor=4',
      '/admin/routing/tenants/acme',
    ]);
    expect(out.split('\n')).toEqual([
      'tenant acme at revision 8',
      'KIND        SHARD  SINCE  AT    BY   NOTE   ENDPOINTS',
      'aggregate   s1     3      then  ann  moved  10.0.0.1:9001',
      'projection  s1     3      then  ann  moved  10.0.0.1:9001',
      'runner      s1     1      -     -    -      10.0.0.1:9001',
      '',
    ]);
    const json = await ask(['routing', 'explain', 'acme', '--json'], handler);
    expect(JSON.parse(json.out)).toMatchObject({
      revision: 8,
      aggregate: { epoch: 3 },
      placed_by: { aggregate: { by: 'ann' }, projection: { note: 'moved' } },
    });
  });

  test('a kind without a placement is a dash', async () => {
    const { out } = await ask(['routing', 'explain', 'acme'], { body: { revision: 8 } });
    expect(out).toMatch(/runner +- +- +- +- +- +-\n/);
  });
});

describe('routing status', () => {
  const status = (acked: number, rejected: readonly unknown[] = []): Answer => ({
    body: {
      envoys: [{ node: 'edge-1', stamp: 8, acked, rejected }],
      replicas: [
        { role: 'authz', replica: 'a1', routing_revision: 8 },
        { role: 'xds', replica: 'x1', routing_revision: 7 },
      ],
    },
  });

  test('is 0 when every Envoy routes by the newest revision', async () => {
    const { code, out } = await ask(['routing', 'status'], status(8));
    expect(code).toBe(0);
    expect(out).toMatch(/edge-1 +8 +8 +0 +current\n/);
    expect(out).toMatch(/authz +a1 +8\n/);
  });

  test('is 1 when one is behind', async () => {
    const { code, out } = await ask(['routing', 'status'], status(7));
    expect(code).toBe(1);
    expect(out).toMatch(/edge-1 +8 +7 +0 +BEHIND\n/);
    expect(await ask(['routing', 'status', '--json'], status(7))).toMatchObject({ code: 1 });
  });

  test('is 1 when one refused something, which is shown in its own words', async () => {
    const rejected = [{ type: 'Cluster', names: ['aggregate/s1'], error: 'bad weight', at: 'now' }];
    const { code, out } = await ask(['routing', 'status'], status(8, rejected));
    expect(code).toBe(1);
    expect(out).toMatch(/edge-1 +Cluster +now +\["aggregate\/s1"\] +bad weight/);
  });
});

test('routing status is 1 while a shard is quarantined, and names it', async () => {
  const entry = {
    pointer: '/runner_shards/s1',
    since_revision: 8,
    error: 'bad weight',
    at: 'now',
    serving: 'last_good',
  };
  const { code, out } = await ask(['routing', 'status'], { body: { envoys: [], replicas: [], quarantined: [entry] } });
  expect(code).toBe(1);
  expect(out).toMatch(/^\/runner_shards\/s1 +8 +last_good +now +bad weight$/m);
});

test('routing status is 1 while the last table put by hand is a refused one, and shows why', async () => {
  const errors = [{ pointer: '/runner_placement/acme', code: 'unknown_shard', detail: 'is not there' }];
  const head = { source: 'inline', state: 'refused', at: 'now', revision: 8, detail: 'put back', errors };
  const at = (revision: number): Answer => ({
    body: { envoys: [], replicas: [{ role: 'authz', replica: 'a', routing_revision: revision }], head },
  });
  const { code, out } = await ask(['routing', 'status'], at(8));
  expect(code).toBe(1);
  expect(out).toMatch(/^inline +now +put back$/m);
  expect(out).toContain('/runner_placement/acme is not there');
  expect(await ask(['routing', 'status'], at(9))).toMatchObject({ code: 0 });
});

describe('routing swap', () => {
  const swap = {
    revision: 42,
    published_at: 'T0',
    by: 'ann',
    note: '',
    complete: true,
    completed_at: 'T1',
    duration_ms: 9,
    requests: 5,
    first_decided_at: 'T1',
    last_decided_at: 'T2',
    envoys: [
      {
        node: 'edge-1',
        live: true,
        serving: true,
        sent_at: 'T0',
        acked_at: 'T1',
        duration_ms: 9,
        stamp: 43,
        rejected: [],
      },
      { node: 'edge-2', live: false, serving: false, rejected: [{ type: 'T', names: ['x'], error: 'no', at: 'T1' }] },
    ],
    xds: [{ replica: 'x1', loaded_at: 'T0', stamped_at: 'T0' }],
    authz: [{ replica: 'a1', held_at: 'T0', requests: 5, first_decided_at: 'T1', last_decided_at: 'T2' }],
    silent: ['authz a2'],
  };

  test('shows who took it when, what it decided and who did not answer', async () => {
    const { code, out, seen } = await ask(['routing', 'swap', '42'], { body: swap });
    expect(seen[0]?.path).toBe('/admin/routing/revisions/42/swap');
    expect(code).toBe(0);
    for (const line of [
      /^complete +yes, after 9 ms$/m,
      /^requests +5, first T1, last T2$/m,
      /^no answer +authz a2$/m,
      /^edge-1 +serving +T0 +T1 +9 ms +43$/m,
      /^edge-2 +BEHIND \(gone\) +- +- +- +-$/m,
      /^x1 +T0 +T0$/m,
      /^a1 +T0 +5 +T1 +T2$/m,
      /^edge-2 +T +T1 +\["x"\] +no$/m,
    ]) {
      expect(out).toMatch(line);
    }
  });

  test('is 1 while an Envoy is behind', async () => {
    const { code, out } = await ask(['routing', 'swap', '42'], { body: { revision: 42, complete: false, envoys: [] } });
    expect(code).toBe(1);
    expect(out).toMatch(/^complete +NO$/m);
    expect(await ask(['routing', 'swap', 'x'], {})).toMatchObject({ code: 2, seen: [] });
  });
});

describe('routing watch', () => {
  type Look = { readonly revision: number; readonly acked?: number; readonly [member: string]: unknown } | undefined;
  const quietLooks: readonly Look[] = [
    { revision: 3, acked: 3 },
    { revision: 5, acked: 3 },
    { revision: 5, acked: 5 },
    undefined,
    { revision: 5, acked: 5 },
    { revision: 5 },
  ];

  /** An API whose status goes from one state to the next at each look; `undefined` = storage away. */
  function playing(looks: readonly Look[]): Handler {
    let look = 0;
    return ({ path }) => {
      if (path.startsWith('/admin/routing/revisions')) {
        const query = new URL(path, 'http://x').searchParams;
        const newest = Number(query.get('cursor')) - 1;
        const items = Array.from({ length: Number(query.get('limit')) }, (_, index) => ({
          revision: newest - index,
          at: 'now',
          by: 'ann',
          note: `n${newest - index}`,
        }));
        return { body: { items } };
      }
      const state = looks[Math.min(look, looks.length - 1)];
      look += 1;
      if (state === undefined)
        return { status: 503, body: { code: 'storage_unavailable', title: 'Away', status: 503 } };
      const { revision, acked, ...others } = state;
      return {
        body: {
          ...others,
          envoys: acked === undefined ? [] : [{ node: 'e', stamp: acked, acked, rejected: [] }],
          replicas: [{ role: 'authz', replica: 'a', routing_revision: revision }],
        },
      };
    };
  }

  async function watch(words: readonly string[], looks = quietLooks): Promise<Run> {
    await using api = await startLocalApi(playing(looks));
    const ending = new AbortController();
    // Quicker than a person may look, so that the test need not wait.
    return await runCli(['routing', 'watch', ...words], {
      url: api.url,
      token: 'token',
      interrupted: ending.signal,
      pauseMs: 1,
      onOutput: (text) => {
        if (text.includes('gone')) ending.abort();
      },
    });
  }

  test('tells what is new, one line each, until it is interrupted', async () => {
    const { code, out } = await watch([]);
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual([
      'revision 3 at now by ann: n3',
      'envoy e: stamp 3, acked 3, current',
      'revision 4 at now by ann: n4',
      'revision 5 at now by ann: n5',
      'envoy e: stamp 3, acked 3, BEHIND',
      'envoy e: stamp 5, acked 5, current',
      'gateway away: Away',
      'gateway back',
      'envoy e: gone',
      '',
    ]);
  });

  test('tells of shards kept back and released, and of a table put by hand that is refused', async () => {
    const pointer = '/runner_shards/s1/endpoints/0/weight';
    const bad = { kind: 'runner', shard: 's1', pointer, serving: 'last_good', error: 'bad weight' };
    const errors = [{ pointer: '/runner_placement/acme', code: 'unknown_shard', detail: 'is not there' }];
    const head = { source: 'inline', state: 'refused', at: 'T1', revision: 3, detail: 'put back', errors };
    const looks = [
      { revision: 3, acked: 3, head: { ...head, state: 'published', at: 'T0' }, quarantined: [bad] },
      { revision: 3, acked: 3, head, quarantined: [bad] },
      { revision: 3, acked: 3, head, quarantined: [{ ...bad, serving: 'nothing' }] },
      { revision: 3, acked: 3, head, quarantined: [] },
      { revision: 3, head, quarantined: [] },
    ];
    expect((await watch([], looks)).out.split('\n').slice(2)).toEqual([
      `shard runner/s1: QUARANTINED, serving last_good: ${pointer} bad weight`,
      'head inline: REFUSED at T1: put back: /runner_placement/acme is not there',
      `shard runner/s1: QUARANTINED, serving nothing: ${pointer} bad weight`,
      'shard runner/s1: released',
      'envoy e: gone',
      '',
    ]);
  });

  test('--json is one object a line', async () => {
    const { out } = await watch(['--json']);
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.map(({ event, revision }) => [event, revision])).toContainEqual(['revision', 4]);
    expect(events).toContainEqual({ event: 'envoy', node: 'e', stamp: 3, acked: 3, behind: true, rejected: [] });
    expect(events.at(-1)).toEqual({ event: 'envoy', node: 'e', state: 'gone' });
  });

  test('ends at once when the gateway says no', async () => {
    await using api = await startLocalApi(() => ({
      status: 403,
      body: { code: 'right_missing', title: 'No', status: 403 },
    }));
    const interrupted = new AbortController().signal;
    expect(await runCli(['routing', 'watch'], { url: api.url, token: 'token', interrupted })).toMatchObject({
      code: 1,
    });
  });
});
