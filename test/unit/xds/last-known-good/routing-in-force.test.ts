import { describe, expect, it } from 'vitest';
import type { KnownGood } from '../../../../xds/last-known-good/known-good.ts';
import { decodeKnownGood, encodeKnownGood } from '../../../../xds/last-known-good/known-good.ts';
import { RoutingInForce } from '../../../../xds/last-known-good/routing-in-force.ts';
import type { FoundState } from '../../../../xds/last-known-good/state-folder.ts';
import { silentLog } from '../../../support/nats.ts';
import { SimulatedEnvoy } from '../simulation/simulated-envoy.ts';
import { Clock, newPlane, revisionOf } from '../simulation/world.ts';

/** A revision with aggregate shards by name and port; its manifest follows from its content. */
function revision(number: number, shards: Readonly<Record<string, number>>): KnownGood {
  const { shards: directories } = revisionOf(number, shards);
  const manifest = Buffer.from(JSON.stringify(shards)).toString('hex').padEnd(64, '0').slice(0, 64);
  const kindRevisions = { aggregate: number, projection: number, runner: number };
  const note = { at: '2026-01-01T00:00:00.000Z', by: 'ann', note: '' };
  return { revision: number, parent: number - 1, manifest, kindRevisions, ...note, shards: directories };
}

/** The same as it comes out of a file: equal, but no object is the same. */
function read(content: KnownGood): KnownGood {
  const decoded = decodeKnownGood(encodeKnownGood(content));
  if (!decoded.ok) throw new Error(decoded.error);
  return decoded.value;
}

const older = revision(4, { s1: 1 });
const kept = revision(5, { s1: 1, s2: 2 });
const other = revision(5, { s1: 1, s3: 3 });
const newer = revision(6, { s1: 1, s2: 2, s4: 4 });

const FILES: Readonly<Record<string, FoundState>> = {
  none: { kind: 'none' },
  good: { kind: 'good', content: read(kept) },
  damaged: { kind: 'refused', reason: 'is damaged' },
};
const STORAGE: Readonly<Record<string, KnownGood | undefined>> = { none: undefined, same: kept, other, newer, older };

function start(file: FoundState | undefined) {
  const clock = new Clock();
  const { plane } = newPlane(clock);
  const told: string[] = [];
  const keeper = {
    found: (number: number) => told.push(`found ${number}`),
    offered: (snapshot: KnownGood) => told.push(`offered ${snapshot.revision}`),
  };
  const routing = new RoutingInForce({ controlPlane: plane, keeper, log: silentLog });
  if (file !== undefined) routing.begin(file);
  const envoy = new SimulatedEnvoy('envoy-1', () => clock.nowMs);
  const settle = () => {
    while (envoy.step());
  };
  return { plane, routing, told, envoy, settle };
}

describe('a start', () => {
  it.each([
    { file: 'none', storage: 'none', serves: undefined, origin: 'none', problem: false },
    { file: 'none', storage: 'same', serves: kept, origin: 'storage', problem: false },
    { file: 'none', storage: 'newer', serves: newer, origin: 'storage', problem: false },
    { file: 'none', storage: 'older', serves: older, origin: 'storage', problem: false },
    { file: 'good', storage: 'none', serves: kept, origin: 'disk', problem: false },
    { file: 'good', storage: 'same', serves: kept, origin: 'storage', problem: false },
    { file: 'good', storage: 'newer', serves: newer, origin: 'storage', problem: false },
    { file: 'good', storage: 'older', serves: kept, origin: 'disk', problem: true },
    { file: 'good', storage: 'other', serves: kept, origin: 'disk', problem: true },
    { file: 'damaged', storage: 'none', serves: undefined, origin: 'none', problem: false },
    { file: 'damaged', storage: 'same', serves: kept, origin: 'storage', problem: false },
    { file: 'damaged', storage: 'newer', serves: newer, origin: 'storage', problem: false },
    { file: 'damaged', storage: 'older', serves: older, origin: 'storage', problem: false },
  ])('with file $file and storage $storage serves what it should', ({ file, storage, serves, origin, problem }) => {
    const { plane, routing, envoy, settle } = start(FILES[file]);
    const offered = STORAGE[storage];
    if (offered !== undefined) routing.offer(offered);
    envoy.connect(plane);
    settle();
    const held = [...envoy.held.cluster.keys()].map((name) => name.slice('aggregate/'.length));
    expect({ stamp: envoy.stamp, held }).toEqual({
      stamp: serves?.revision ?? -1,
      held: [...(serves?.shards.aggregate.keys() ?? [])],
    });
    expect([plane.isReady, routing.origin]).toEqual([serves !== undefined, origin]);
    expect([routing.problem !== undefined, routing.refused !== undefined]).toEqual([problem, file === 'damaged']);
  });

  it('serves the kept revision without waiting for the word of an authz replica', () => {
    const { plane, envoy, settle } = start(FILES['good']);
    plane.confirm(plane.stampTarget);
    envoy.connect(plane);
    settle();
    expect(envoy.stamp).toBe(5);
  });

  it('refuses a kept revision that cannot be encoded, and takes the one of the storage', () => {
    const { plane } = newPlane(new Clock());
    let refuses = true;
    const controlPlane = {
      applyRevision: (snapshot: KnownGood) => {
        if (refuses) throw new Error('cluster aggregate/s1 is not valid');
        plane.applyRevision(snapshot);
      },
    };
    const routing = new RoutingInForce({ controlPlane, keeper: undefined, log: silentLog });
    routing.begin({ kind: 'good', content: kept });
    expect([routing.origin, routing.refused]).toEqual(['none', expect.stringContaining('aggregate/s1 is not valid')]);
    refuses = false;
    routing.offer(older);
    expect([routing.origin, plane.newestRevision]).toEqual(['storage', 4]);
  });
});

describe('an Envoy that runs on while the server starts again', () => {
  it('is told nothing new by a server that serves the same from the disk, nor when the storage is back', () => {
    const before = start(undefined);
    before.routing.offer(kept);
    before.envoy.connect(before.plane);
    before.settle();
    const { held: types } = before.envoy;
    const versions = () => [...types.cluster, ...types.endpoint, ...types.listener, ...types.route];
    const held = versions();
    const again = start({ kind: 'good', content: read(kept) });
    before.envoy.received.length = 0;
    before.envoy.connect(again.plane);
    before.settle();
    again.routing.offer(kept);
    before.settle();
    // Wildcards are answered, with nothing in the answer.
    expect(before.envoy.received.filter((each) => /[+-]/.test(each))).toEqual([]);
    expect(versions()).toEqual(held);
  });

  it('gets what is new when the storage is back, and nothing else', () => {
    const { plane, routing, envoy, settle } = start(FILES['good']);
    envoy.connect(plane);
    settle();
    envoy.received.length = 0;
    routing.offer(newer);
    settle();
    expect(envoy.received).toEqual(['cluster +aggregate/s4', 'endpoint +aggregate/s4', 'route +gateway']);
    expect(envoy.stamp).toBe(6);
  });

  it('stays where it is while the storage is older, and goes on with the first newer revision', () => {
    const { plane, routing, envoy, settle } = start(FILES['good']);
    envoy.connect(plane);
    settle();
    routing.offer(older);
    routing.offer(other);
    settle();
    expect([envoy.stamp, plane.newestRevision]).toEqual([5, 5]);
    expect(routing.problem).toEqual({ revision: 5, reason: expect.stringContaining('another revision 5') });
    routing.offer(newer);
    settle();
    expect([envoy.stamp, routing.problem, routing.origin]).toEqual([6, undefined, 'storage']);
  });
});

describe('what the keeper is told', () => {
  it('is what was found and what is offered to Envoys, not what was refused', () => {
    const { routing, told } = start(FILES['good']);
    routing.offer(older);
    routing.offer(kept);
    routing.offer(newer);
    expect(told).toEqual(['found 5', 'offered 5', 'offered 6']);
  });
});

describe('the storage coming back', () => {
  it('has nothing encoded again that is equal to what is served', () => {
    const encoded: string[] = [];
    const shardsSeen = new Set<unknown>();
    const controlPlane = {
      applyRevision: ({ shards }: KnownGood) => {
        for (const [name, shard] of shards.aggregate) if (!shardsSeen.has(shard)) encoded.push(name);
        for (const shard of shards.aggregate.values()) shardsSeen.add(shard);
      },
    };
    const routing = new RoutingInForce({ controlPlane, keeper: undefined, log: silentLog });
    routing.begin({ kind: 'good', content: read(kept) });
    expect(encoded.splice(0)).toEqual(['s1', 's2']);
    routing.offer(kept);
    routing.offer(newer);
    expect(encoded).toEqual(['s4']);
  });
});
