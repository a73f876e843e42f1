import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { encodeResource } from '../../../xds/snapshot/resource.ts';
import { TYPE_URL } from '../../../xds/snapshot/resource-types.ts';
import { SimulatedEnvoy } from './simulation/simulated-envoy.ts';
import { Clock, newPlane, revisionOf } from './simulation/world.ts';

function setUp(options: { readonly refuses?: (content: string) => boolean } = {}) {
  const clock = new Clock();
  const { plane, events } = newPlane(clock);
  const envoy = new SimulatedEnvoy('envoy-1', () => clock.nowMs, options.refuses);
  const settle = () => {
    while (envoy.step());
  };
  return { clock, plane, events, envoy, settle };
}

describe('the stamp discipline', () => {
  it('stamps a revision only when its clusters are there and every authz replica has it', () => {
    const { plane, envoy } = setUp();
    plane.applyRevision(revisionOf(1, { s1: 1 }));
    plane.confirm(0);
    plane.confirm(1);
    envoy.connect(plane);
    while (envoy.held.endpoint.size === 0) {
      expect(envoy.stamp).toBe(-1);
      expect(envoy.step()).toBe(true);
    }
    while (envoy.step());
    expect(envoy.stamp).toBe(1);

    plane.applyRevision(revisionOf(2, { s1: 1, s2: 2 }));
    while (envoy.step());
    expect([...envoy.held.endpoint.keys()]).toContain('aggregate/s2'); // offered at once
    expect(envoy.stamp).toBe(1); // but not stamped: authz is still at 1
    plane.confirm(2);
    while (envoy.step());
    expect(envoy.stamp).toBe(2);
  });

  it('waits for nobody when no authz replica is alive', () => {
    const { plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, {}));
    plane.confirm(undefined);
    envoy.connect(plane);
    settle();
    expect(envoy.stamp).toBe(1);
  });

  it('coalesces the revisions that come while a stamp is on its way', () => {
    const { plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, { s1: 1 }));
    envoy.connect(plane);
    settle();
    for (let revision = 2; revision <= 1_000; revision += 1) plane.applyRevision(revisionOf(revision, { s1: 1 }));
    expect(envoy.inboxLength).toBe(1);
    settle();
    expect(envoy.stampsSeen).toEqual([1, 2, 1_000]);
  });

  it('does not wait for a cluster that came and went while the Envoy did not read', () => {
    const { plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, {}));
    plane.confirm(1);
    envoy.pause();
    envoy.connect(plane);
    plane.applyRevision(revisionOf(2, { s1: 1 }));
    plane.applyRevision(revisionOf(3, {}));
    plane.confirm(3);
    envoy.resume();
    settle();
    expect(envoy.stamp).toBe(3);
  });

  it('takes a cluster away only when the Envoy has done without it for the grace time', () => {
    const { clock, plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, { s1: 1, s2: 2 }));
    envoy.connect(plane);
    settle();
    plane.applyRevision(revisionOf(2, { s1: 1 }));
    expect(envoy.stamp).toBe(1);
    clock.advance(10 * LIMITS.clusterRemovalGraceMs); // the new stamp is not acknowledged
    expect(envoy.clustersLost).toEqual([]);
    settle();
    clock.advance(LIMITS.clusterRemovalGraceMs - 1);
    settle();
    expect([...envoy.held.cluster.keys()]).toEqual(['aggregate/s1', 'aggregate/s2']);
    clock.advance(1);
    settle();
    expect([...envoy.held.cluster.keys()]).toEqual(['aggregate/s1']);
  });

  it('sends the endpoints of a changed cluster again, though they are the same', () => {
    const { plane, envoy, settle } = setUp();
    const first = revisionOf(1, { s1: 1, s2: 2 });
    plane.applyRevision(first);
    envoy.connect(plane);
    settle();
    envoy.received.length = 0;
    const changed = revisionOf(2, { s1: 1, s2: 2 });
    const s2 = first.shards.aggregate.get('s2');
    if (s2 !== undefined) changed.shards.aggregate.set('s2', s2);
    changed.shards.aggregate.set('s1', { endpoints: [{ address: '10.0.0.1', port: 1, weight: 1 }], protocol: 'http1' });
    plane.applyRevision(changed);
    settle();
    expect(envoy.received).toEqual(['cluster +aggregate/s1', 'endpoint +aggregate/s1', 'route +gateway']);
  });

  it('serves an Envoy that knows nothing while authz lags behind a removal the revision that authz has', () => {
    const { plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, { s1: 1, s2: 2 }));
    plane.confirm(1);
    envoy.connect(plane);
    settle();
    plane.applyRevision(revisionOf(2, { s1: 1 }));
    const other = new SimulatedEnvoy('envoy-2', () => 0);
    other.connect(plane);
    while (other.step());
    expect(other.stamp).toBe(1);
    expect([...other.held.endpoint.keys()]).toEqual(['aggregate/s1', 'aggregate/s2']);
  });

  it('serves the empty revision 0, and the first real one after it', () => {
    const { plane, envoy, settle } = setUp();
    expect(plane.isReady).toBe(false);
    plane.applyRevision(revisionOf(0, {}));
    expect(plane.isReady).toBe(true);
    plane.confirm(0);
    envoy.connect(plane);
    settle();
    expect(envoy.stamp).toBe(0);
    expect(plane.oldestStamp()).toBe(0);
    plane.applyRevision(revisionOf(1, { s1: 1 }));
    plane.confirm(1);
    settle();
    expect(envoy.stamp).toBe(1);
  });
});

describe('reconnecting', () => {
  it('sends only what differs, and keeps the clusters that the stamp of the Envoy may lead to', () => {
    const { clock, plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, { s1: 1, s2: 2 }));
    envoy.connect(plane);
    settle();
    const restarted = newPlane(clock).plane;
    restarted.applyRevision(revisionOf(2, { s1: 1, s3: 3 }));
    envoy.received.length = 0;
    envoy.connect(restarted);
    settle();
    // The wildcards are answered even with nothing.
    expect(envoy.received).toEqual(['cluster +aggregate/s3', 'listener', 'endpoint +aggregate/s3', 'route +gateway']);
    expect([...envoy.held.cluster.keys()]).toEqual(['aggregate/s1', 'aggregate/s2', 'aggregate/s3']);
    expect(envoy.stamp).toBe(2);
    // One timer runs per stream: it began with the stamp that the Envoy came with.
    for (let times = 0; times < 2; times += 1) clock.advance(LIMITS.clusterRemovalGraceMs);
    settle();
    expect([...envoy.held.cluster.keys()]).toEqual(['aggregate/s1', 'aggregate/s3']);
  });

  it('refuses an Envoy that is ahead before it was told anything', () => {
    const { clock, plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(2, { s1: 1, s2: 2 }));
    envoy.connect(plane);
    settle();
    const behind = newPlane(clock).plane;
    behind.applyRevision(revisionOf(1, { s1: 99 }));
    envoy.connect(behind);
    expect([envoy.wasRefused, envoy.toldCount]).toEqual([true, 0]);
    settle();
    expect(envoy.stamp).toBe(2);
    behind.applyRevision(revisionOf(2, { s1: 1, s2: 2 }));
    envoy.connect(behind);
    settle();
    expect([envoy.wasRefused, envoy.stamp]).toEqual([false, 2]);
  });

  it('stamps one that brought a cluster of names from a replica that was ahead, when it is there too', () => {
    const { plane } = setUp();
    plane.applyRevision(revisionOf(1, {}));
    const session = plane.open({ send: () => true, refuse: expect.fail });
    const ask = { nodeId: 'envoy-1', subscribe: [], unsubscribe: [], nonce: '', error: undefined };
    const json = { cluster: 'aggregate/s1', protocol: 'h2' };
    const { version } = encodeResource({
      type: 'cluster',
      name: json.cluster,
      message: Buffer.from(JSON.stringify(json)),
    });
    session.receive({ ...ask, typeUrl: TYPE_URL.cluster, initialVersions: { [json.cluster]: version } });
    session.receive({ ...ask, typeUrl: TYPE_URL.route, subscribe: ['gateway'], initialVersions: {} });
    plane.applyRevision(revisionOf(2, { s1: 0 }));
    expect(session.holds('cluster', { name: json.cluster, version })).toBe(true);
    expect(session.stamp).toBe(1);
    session.receive({ ...ask, typeUrl: TYPE_URL.route, nonce: '2', initialVersions: {} });
    expect(session.stamp).toBe(2);
  });

  it('answers one that never says by which stamp it routes after a while', () => {
    const { clock, plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, { s1: 1 }));
    envoy.held.cluster.set('aggregate/s1', 'unknown');
    envoy.connect(plane);
    expect(envoy.inboxLength).toBe(0);
    clock.advance(LIMITS.xdsReconnectSettleMs);
    expect(envoy.inboxLength).toBeGreaterThan(0);
    settle();
    expect(envoy.stamp).toBe(1);
  });

  it('counts the stamp of an Envoy that left until it is forgotten', () => {
    const { clock, plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, {}));
    envoy.connect(plane);
    settle();
    envoy.disconnect();
    expect(plane.oldestStamp()).toBe(1);
    clock.advance(LIMITS.nodeForgetAfterMs);
    expect(plane.oldestStamp()).toBeUndefined();
  });
});

describe('a rejection', () => {
  it('keeps the last good state of that Envoy, says so, and concerns no other', () => {
    const { plane, envoy, events, settle } = setUp({ refuses: (content) => content.includes('"stamp":2') });
    const other = new SimulatedEnvoy('envoy-2', () => 0);
    plane.applyRevision(revisionOf(1, { s1: 1 }));
    for (const each of [envoy, other]) each.connect(plane);
    const settleBoth = () => {
      settle();
      while (other.step());
    };
    settleBoth();
    plane.applyRevision(revisionOf(2, { s1: 1 }));
    settleBoth();
    expect([envoy.stamp, other.stamp]).toEqual([1, 2]);
    expect(events).toContainEqual({ node: 'envoy-1', kind: 'rejected', names: ['gateway'] });
    expect(plane.envoys()).toMatchObject([
      { node: 'envoy-1', stamp: 2, acked: 1, rejected: [{ names: ['gateway'], error: 'cannot apply gateway' }] },
      { node: 'envoy-2', stamp: 2, acked: 2, rejected: [] },
    ]);
    expect(envoy.inboxLength).toBe(0);
    plane.applyRevision(revisionOf(3, { s1: 1 }));
    settleBoth();
    expect([envoy.stamp, other.stamp]).toEqual([3, 3]);
  });

  it('names the one bad cluster of many; the others arrive, and the corrected one does too', () => {
    const { plane, envoy, events, settle } = setUp({
      refuses: (content) => content.includes('"cluster":"aggregate/s7"') && content.includes('h2'),
    });
    plane.applyRevision(revisionOf(1, {}));
    envoy.connect(plane);
    settle();
    const shards = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`s${index}`, index + 1]));
    plane.applyRevision(revisionOf(2, shards));
    settle();
    expect(envoy.held.cluster.size).toBe(49);
    const rejected = events.filter(({ kind }) => kind === 'rejected');
    expect(rejected.at(-1)).toEqual({ node: 'envoy-1', kind: 'rejected', names: ['aggregate/s7'] });
    // The culprit is kept back alone: it holds up neither the others nor the stamp.
    expect(envoy.stamp).toBe(2);
    expect(plane.quarantined()).toMatchObject([{ pointer: '/aggregate_shards/s7', sinceRevision: 2 }]);
    const corrected = revisionOf(3, shards);
    corrected.shards.aggregate.set('s7', { endpoints: [], protocol: 'http1' });
    plane.applyRevision(corrected);
    settle();
    expect([envoy.held.cluster.size, envoy.stamp]).toEqual([50, 3]);
    expect(plane.quarantined()).toEqual([]);
  });
});

describe('an Envoy that does not read', () => {
  it('costs no memory, and gets the newest state when it reads again', () => {
    const { plane, envoy, settle } = setUp();
    plane.applyRevision(revisionOf(1, { s1: 1 }));
    envoy.connect(plane);
    settle();
    envoy.pause();
    for (let revision = 2; revision < 500; revision += 1) plane.applyRevision(revisionOf(revision, { s1: revision }));
    expect(envoy.inboxLength).toBe(1);
    envoy.resume();
    settle();
    expect(envoy.stamp).toBe(499);
    expect(envoy.inboxLength).toBe(0);
  });
});

const SHARDS = ['a', 'b', 'c'] as const;
const action = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('read' as const), envoy: fc.nat(1), count: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('revise' as const),
      shards: fc.uniqueArray(fc.constantFrom(...SHARDS)),
      port: fc.integer({ min: 1, max: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('confirm' as const), lag: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const), envoy: fc.nat(1), replica: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replica' as const), replica: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), envoy: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resume' as const), envoy: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 6_000 }) }) },
);

/**
 * Two replicas that learn of revisions at different times, two Envoys that read when they like, break off and come back
 * to either replica, and an authz that lags.
 */
describe('any order of events', () => {
  it('never stamps before its clusters or before authz, never goes back, and ends in the newest state', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const clock = new Clock();
        const planes = [newPlane(clock).plane, newPlane(clock).plane] as const;
        const revisions = [revisionOf(1, { a: 1 })];
        let confirmed = 1;
        const known = [1, 1];
        const envoys = [0, 1].map((index) => new SimulatedEnvoy(`envoy-${index}`, () => clock.nowMs));
        for (const plane of planes) {
          plane.applyRevision(revisionOf(1, { a: 1 }));
          plane.confirm(1);
        }
        const learn = (replica: number, revision: number) => {
          for (const each of revisions.slice(known[replica] ?? 0, revision)) planes[replica]?.applyRevision(each);
          known[replica] = Math.max(known[replica] ?? 0, revision);
        };
        const read = (envoy: SimulatedEnvoy): boolean => {
          const before = envoy.stamp;
          const lost = envoy.clustersLost.length;
          const was = envoy.step();
          const { stamp } = envoy;
          expect(stamp).toBeGreaterThanOrEqual(before);
          if (stamp !== before) {
            expect(stamp).toBeLessThanOrEqual(confirmed);
            for (const shard of revisions[stamp - 1]?.shards.aggregate.keys() ?? []) {
              expect(envoy.held.endpoint.has(`aggregate/${shard}`)).toBe(true);
            }
          }
          for (const { name } of envoy.clustersLost.slice(lost)) {
            expect(revisions[stamp - 1]?.shards.aggregate.has(name.slice('aggregate/'.length))).toBe(false);
          }
          return was;
        };
        const [first, second] = envoys;
        first?.connect(planes[0]);
        second?.connect(planes[1]);
        for (const each of actions) {
          const envoy = 'envoy' in each ? envoys[each.envoy] : undefined;
          if (each.do === 'read') for (let count = 0; count < each.count; count += 1) if (envoy) read(envoy);
          if (each.do === 'revise') {
            const shards = Object.fromEntries(each.shards.map((shard) => [shard, each.port]));
            revisions.push(revisionOf(revisions.length + 1, shards));
            learn(revisions.length % 2, revisions.length);
          }
          if (each.do === 'confirm') {
            confirmed = Math.max(confirmed, revisions.length - each.lag);
            for (const plane of planes) plane.confirm(confirmed);
          }
          if (each.do === 'reconnect') envoy?.connect(planes[each.replica === 0 ? 0 : 1]);
          if (each.do === 'replica') learn(each.replica, revisions.length);
          if (each.do === 'pause') envoy?.pause();
          if (each.do === 'resume') envoy?.resume();
          if (each.do === 'wait') clock.advance(each.ms);
        }
        confirmed = revisions.length;
        for (const replica of [0, 1]) learn(replica, revisions.length);
        for (const plane of planes) plane.confirm(confirmed);
        for (const envoy of envoys) {
          envoy.resume();
          if (!envoy.isConnected) envoy.connect(planes[0]);
          for (let round = 0; round < 4; round += 1) {
            for (let steps = 0; read(envoy); steps += 1) expect(steps).toBeLessThan(1_000);
            clock.advance(LIMITS.clusterRemovalGraceMs);
          }
          const names = [...(revisions.at(-1)?.shards.aggregate.keys() ?? [])].map((name) => `aggregate/${name}`);
          expect(envoy.stamp).toBe(revisions.length);
          expect([...envoy.held.cluster.keys()].toSorted()).toEqual(names.toSorted());
          expect([...envoy.held.endpoint.keys()].toSorted()).toEqual(names.toSorted());
        }
      }),
      { numRuns: 500 },
    );
  });
});
