import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import type { Shard } from '#domain/routing/types.ts';
import type { ControlPlane } from '../../../xds/control-plane.ts';
import { quarantineRecord, type Refusal } from '../../../xds/quarantine.ts';
import { SimulatedEnvoy } from './simulation/simulated-envoy.ts';
import { Clock, newPlane, revisionOf } from './simulation/world.ts';

/** Ports that mark a shard: its endpoints are refused by every Envoy, by the old one alone, or cannot be encoded. */
const REFUSED = 666;
const REFUSED_BY_OLD = 667;
const INVALID = 999;

const has = (...ports: readonly number[]) => {
  const texts = ports.map((port) => `"endpoints":[${port}]`);
  return (content: string) => texts.some((text) => content.includes(text));
};

function setUp() {
  const clock = new Clock();
  const start = () => newPlane(clock, has(INVALID));
  const { plane, events } = start();
  const newEnvoy = (name: string) => new SimulatedEnvoy(name, () => clock.nowMs, has(REFUSED));
  const oldEnvoy = (name: string) => new SimulatedEnvoy(name, () => clock.nowMs, has(REFUSED, REFUSED_BY_OLD));
  return { clock, plane, events, start, newEnvoy, oldEnvoy };
}

const settle = (...envoys: readonly SimulatedEnvoy[]) => {
  for (let turn = 0; envoys.some((envoy) => envoy.step()); turn += 1) expect(turn).toBeLessThan(10_000);
};
const held = (envoy: SimulatedEnvoy) => [...envoy.held.endpoint.keys()].toSorted();
const shards = (plane: ControlPlane) => plane.quarantined().map(({ shard, serving }) => `${shard}: ${serving}`);
const endpointsSent = (envoy: SimulatedEnvoy, shard: string) =>
  envoy.received.filter((text) => text.startsWith('endpoint') && text.includes(`+aggregate/${shard}`)).length;

describe('an entry that cannot be encoded', () => {
  it('is left out when it is new; all else of the revision is served', () => {
    const { plane, newEnvoy } = setUp();
    const envoy = newEnvoy('envoy-1');
    plane.applyRevision(revisionOf(1, { a: 1, bad: INVALID, c: 3 }));
    envoy.connect(plane);
    settle(envoy);
    expect([envoy.stamp, held(envoy)]).toEqual([1, ['aggregate/a', 'aggregate/c']]);
    expect(plane.quarantined()).toEqual([
      {
        kind: 'aggregate',
        shard: 'bad',
        sinceRevision: 1,
        pointer: '/aggregate_shards/bad',
        error: 'aggregate/bad cannot be encoded',
        at: '1970-01-01T00:00:00.000Z',
        serving: 'nothing',
      },
    ]);
  });

  it('keeps its last good value when it changed, and is released at once when it is corrected', () => {
    const { plane, newEnvoy } = setUp();
    const envoy = newEnvoy('envoy-1');
    plane.applyRevision(revisionOf(1, { a: 1, s: 2 }));
    envoy.connect(plane);
    settle(envoy);
    const before = endpointsSent(envoy, 's');
    plane.applyRevision(revisionOf(2, { a: 11, s: INVALID }));
    settle(envoy);
    expect(shards(plane)).toEqual(['s: last_good']);
    expect([envoy.stamp, endpointsSent(envoy, 's')]).toEqual([2, before]);
    plane.applyRevision(revisionOf(3, { a: 11, s: 4 }));
    settle(envoy);
    expect([shards(plane), envoy.stamp, endpointsSent(envoy, 's')]).toEqual([[], 3, before + 1]);
  });

  it('stays one finding as long as it is the same mistake', () => {
    const { clock, plane } = setUp();
    plane.applyRevision(revisionOf(1, { bad: INVALID }));
    const first = plane.quarantined();
    clock.advance(1_000);
    plane.applyRevision(revisionOf(2, { bad: INVALID, other: 1 }));
    expect(plane.quarantined()).toEqual(first);
  });

  it('is released by its removal', () => {
    const { plane } = setUp();
    plane.applyRevision(revisionOf(1, { bad: INVALID }));
    plane.applyRevision(revisionOf(2, {}));
    expect(plane.quarantined()).toEqual([]);
  });
});

describe('an entry that an Envoy rejects', () => {
  it('is kept back for everybody; the stamp does not wait for it; a new Envoy never sees it', () => {
    const { plane, newEnvoy } = setUp();
    const [first, late] = [newEnvoy('envoy-1'), newEnvoy('envoy-2')];
    plane.applyRevision(revisionOf(1, { a: 1 }));
    first.connect(plane);
    settle(first);
    plane.applyRevision(revisionOf(2, { a: 1, bad: REFUSED, c: 3 }));
    settle(first);
    expect([first.stamp, held(first)]).toEqual([2, ['aggregate/a', 'aggregate/c']]);
    expect(plane.quarantined()).toMatchObject([
      { shard: 'bad', serving: 'nothing', node: 'envoy-1', pointer: '/aggregate_shards/bad/endpoints' },
    ]);
    late.connect(plane);
    settle(late);
    expect(late.received.filter((text) => text.includes('bad'))).toEqual([]);
    expect([late.stamp, plane.envoys()[1]?.rejected]).toEqual([2, []]);
  });

  it('goes back to its last good value, is not sent again, and is live at once when it is corrected', () => {
    const { plane, newEnvoy } = setUp();
    const [first, other] = [newEnvoy('envoy-1'), newEnvoy('envoy-2')];
    plane.applyRevision(revisionOf(1, { s: 1 }));
    for (const envoy of [first, other]) envoy.connect(plane);
    settle(first, other);
    const good = first.held.endpoint.get('aggregate/s');
    plane.applyRevision(revisionOf(2, { s: REFUSED }));
    settle(first, other);
    expect(shards(plane)).toEqual(['s: last_good']);
    for (const envoy of [first, other])
      expect([envoy.stamp, envoy.held.endpoint.get('aggregate/s')]).toEqual([2, good]);
    const sent = endpointsSent(first, 's');
    // The same content in later revisions, and much else: it is not tried again.
    for (let revision = 3; revision < 20; revision += 1)
      plane.applyRevision(revisionOf(revision, { s: REFUSED, x: revision }));
    settle(first, other);
    expect([endpointsSent(first, 's'), shards(plane), plane.quarantined()[0]?.sinceRevision]).toEqual([
      sent,
      ['s: last_good'],
      2,
    ]);
    plane.applyRevision(revisionOf(20, { s: 5 }));
    settle(first, other);
    expect([shards(plane), first.held.endpoint.get('aggregate/s') === good]).toEqual([[], false]);
    expect(plane.envoys().map(({ rejected }) => rejected)).toEqual([[], []]);
  });

  it('stays on the record of the Envoy as long as it is kept back, also when it was new and is removed', () => {
    const { clock, plane, newEnvoy } = setUp();
    const envoy = newEnvoy('envoy-1');
    plane.applyRevision(revisionOf(1, { s: 1 }));
    envoy.connect(plane);
    settle(envoy);
    plane.applyRevision(revisionOf(2, { s: REFUSED, bad: REFUSED }));
    settle(envoy);
    const names = () =>
      plane
        .envoys()[0]
        ?.rejected.map((entry) => entry.names[0])
        .toSorted();
    expect(names()).toEqual(['aggregate/bad', 'aggregate/s']);
    plane.applyRevision(revisionOf(3, { s: 1 })); // back to what it has
    settle(envoy);
    clock.advance(LIMITS.clusterRemovalGraceMs);
    settle(envoy);
    expect([names(), plane.quarantined()]).toEqual([[], []]);
  });

  it('is not tried again when a connected Envoy has rejected just that content; it is when that Envoy has gone', () => {
    const { plane, newEnvoy } = setUp();
    const [rejecter, late] = [newEnvoy('envoy-1'), newEnvoy('envoy-2')];
    plane.applyRevision(revisionOf(1, { s: 1 }));
    rejecter.connect(plane);
    settle(rejecter);
    plane.applyRevision(revisionOf(2, { s: REFUSED }));
    settle(rejecter);
    plane.applyRevision(revisionOf(3, { s: 3 }));
    settle(rejecter);
    const sent = endpointsSent(rejecter, 's');
    plane.applyRevision(revisionOf(4, { s: REFUSED }));
    settle(rejecter);
    expect([endpointsSent(rejecter, 's'), shards(plane), rejecter.stamp]).toEqual([sent, ['s: last_good'], 4]);
    rejecter.disconnect();
    plane.applyRevision(revisionOf(5, { s: 5 }));
    plane.applyRevision(revisionOf(6, { s: REFUSED }));
    expect(shards(plane)).toEqual([]);
    late.connect(plane);
    settle(late);
    expect([shards(plane), late.stamp]).toEqual([['s: last_good'], 6]);
  });

  it('but that another Envoy has in force concerns nobody else, and does not hold up the one that rejects it', () => {
    const { plane, newEnvoy, oldEnvoy } = setUp();
    const [modern, old] = [newEnvoy('envoy-1'), oldEnvoy('envoy-2')];
    plane.applyRevision(revisionOf(1, { s: REFUSED_BY_OLD }));
    modern.connect(plane);
    settle(modern);
    old.connect(plane);
    settle(old);
    expect([modern.stamp, old.stamp, shards(plane)]).toEqual([1, 1, []]);
    expect(held(modern)).toEqual(['aggregate/s']);
    expect(plane.envoys()[1]?.rejected).toMatchObject([{ names: ['aggregate/s'] }]);
    plane.applyRevision(revisionOf(2, { s: 2 }));
    settle(modern, old);
    expect([held(old), old.stamp, plane.envoys()[1]?.rejected]).toEqual([['aggregate/s'], 2, []]);
  });

  it('is offered no value that was rejected as well when it has to go back', () => {
    const { plane, newEnvoy } = setUp();
    const envoy = newEnvoy('envoy-1');
    plane.applyRevision(revisionOf(1, { s: 1 }));
    envoy.connect(plane);
    settle(envoy);
    const good = envoy.held.endpoint.get('aggregate/s');
    // The second comes before the first is answered.
    plane.applyRevision(revisionOf(2, { s: REFUSED }));
    const twice = revisionOf(3, { s: REFUSED });
    const s = twice.shards.aggregate.get('s');
    if (s !== undefined) twice.shards.aggregate.set('s', { ...s, protocol: 'http1' });
    plane.applyRevision(twice);
    settle(envoy);
    expect([shards(plane), envoy.held.endpoint.get('aggregate/s'), envoy.stamp]).toEqual([['s: last_good'], good, 3]);
  });

  it('leaves what an Envoy has from before a restart of the server', () => {
    const { clock, plane, start, newEnvoy } = setUp();
    const envoy = newEnvoy('envoy-1');
    plane.applyRevision(revisionOf(1, { s: 1 }));
    envoy.connect(plane);
    settle(envoy);
    const restarted = start().plane;
    restarted.applyRevision(revisionOf(2, { s: REFUSED }));
    envoy.connect(restarted);
    settle(envoy);
    for (let turn = 0; turn < 3; turn += 1) {
      clock.advance(LIMITS.clusterRemovalGraceMs);
      settle(envoy);
    }
    expect([shards(restarted), envoy.stamp, envoy.clustersLost]).toEqual([['s: nothing'], 2, []]);
    restarted.applyRevision(revisionOf(3, {}));
    settle(envoy);
    for (let turn = 0; turn < 3; turn += 1) {
      clock.advance(LIMITS.clusterRemovalGraceMs);
      settle(envoy);
    }
    expect(envoy.clustersLost.map(({ name }) => name)).toEqual(['aggregate/s']);
  });
});

describe('any set of bad entries among many', () => {
  const entry = fc.constantFrom<'good' | 'changed' | 'invalid' | 'refused'>('good', 'changed', 'invalid', 'refused');
  it('exactly the culprits are quarantined, all others are served, and the corrected revision releases all', () => {
    const arbitrary = fc.record({
      entries: fc.array(fc.record({ was: fc.boolean(), is: entry }), { minLength: 1, maxLength: 60 }),
      envoys: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ entries, envoys: count }) => {
        const { plane, newEnvoy } = setUp();
        const envoys = Array.from({ length: count }, (_, index) => newEnvoy(`envoy-${index}`));
        const port = { good: 1, changed: 2, invalid: INVALID, refused: REFUSED };
        const named = entries.map((each, index) => ({ ...each, name: `s${index}` }));
        plane.applyRevision(
          revisionOf(1, Object.fromEntries(named.filter(({ was }) => was).map(({ name }) => [name, 1]))),
        );
        for (const envoy of envoys) envoy.connect(plane);
        settle(...envoys);
        plane.applyRevision(revisionOf(2, Object.fromEntries(named.map(({ name, is }) => [name, port[is]]))));
        settle(...envoys);
        const culprits = named.filter(({ is }) => is === 'invalid' || is === 'refused');
        const expected = culprits.map(({ name, was }) => `${name}: ${was ? 'last_good' : 'nothing'}`);
        expect(shards(plane).toSorted()).toEqual(expected.toSorted());
        const served = named.filter(({ was, is }) => was || is === 'good' || is === 'changed');
        for (const envoy of envoys) {
          expect(envoy.stamp).toBe(2);
          expect(held(envoy)).toEqual(served.map(({ name }) => `aggregate/${name}`).toSorted());
        }
        plane.applyRevision(revisionOf(3, Object.fromEntries(named.map(({ name }) => [name, 3]))));
        settle(...envoys);
        expect(plane.quarantined()).toEqual([]);
        for (const envoy of envoys) expect([envoy.stamp, envoy.held.endpoint.size]).toEqual([3, named.length]);
      }),
      { numRuns: 100 },
    );
  });
});

describe('the pointer of a finding', () => {
  const good: Shard = {
    endpoints: [{ address: '10.0.0.1', port: 1, weight: 1 }],
    protocol: 'h2',
    health: { path: '/a' },
  };
  const pointer = (part: Partial<Refusal> & Pick<Refusal, 'shard'>) =>
    quarantineRecord({
      ...{ kind: 'projection', shardName: 's7', type: 'cluster', error: 'no', node: 'n', revision: 1, atMs: 0 },
      good,
      ...part,
    }).pointer;

  it.each<[string, Partial<Refusal> & Pick<Refusal, 'shard'>, string]>([
    ['the one changed setting', { shard: { ...good, health: { path: '/b' } } }, '/health/path'],
    ['a setting that is new', { shard: { ...good, slowStartMs: 1_000 } }, '/slow_start_ms'],
    ['nothing of several', { shard: { ...good, slowStartMs: 1_000, connectTimeoutMs: 50 } }, ''],
    ['nothing of a new shard', { shard: good, good: undefined }, ''],
    ['the endpoints', { shard: { ...good, protocol: 'http1', slowStartMs: 1_000 }, type: 'endpoint' }, '/endpoints'],
    [
      'the endpoint that the error names',
      { shard: good, good: undefined, error: 'malformed IP: 10.0.0.1.' },
      '/endpoints/0',
    ],
  ])('is of %s', (_, part, path) => {
    expect(pointer(part)).toBe(`/projection_shards/s7${path}`);
  });

  it('comes with an error of bounded length', () => {
    const record = quarantineRecord({
      ...{ kind: 'runner', shardName: 's', shard: good, good, type: undefined, node: undefined, revision: 1, atMs: 0 },
      error: 'x'.repeat(10_000),
    });
    expect(record.error).toHaveLength(LIMITS.quarantineErrorMaxChars);
  });
});
