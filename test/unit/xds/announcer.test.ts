import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import type { ReplicaBoard, ReplicaFacts, ReplicaState } from '#ports/replica-board.ts';
import { Announcer } from '../../../xds/announcer.ts';
import { Clock, newPlane, revisionOf } from './simulation/world.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** What the authz replicas are heard to hold, and whether the way to the board stands, as the test says. */
function setUp(options: { readonly kept?: number } = {}) {
  const { plane } = newPlane(new Clock());
  const listeners = new Set<() => void>();
  const announced: ReplicaFacts[] = [];
  let authz: readonly ReplicaState[] = [];
  let connected = false;
  let told = () => {};
  const board: ReplicaBoard = {
    announce: (facts) => announced.push(facts),
    live: (role) => (role === 'authz' ? authz : []),
    onChange: (listener) => {
      told = listener;
      return () => {};
    },
    ask: () => Promise.resolve([]),
    answer: () => () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  if (options.kept !== undefined) plane.applyRevision(revisionOf(options.kept, {}));
  const link = {
    isConnected: () => connected,
    onConnected: (listener: () => void) => {
      listeners.add(listener);
      if (connected) listener();
      return () => listeners.delete(listener);
    },
  };
  const schedule = (delayMs: number, task: () => void) => {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  };
  const time = { schedule, nowMs: () => performance.now() };
  const stop = new Announcer({ board, controlPlane: plane, replica: 'xds-1', link, ...time }).follow();
  return {
    plane,
    announced,
    stop,
    connect() {
      connected = true;
      for (const listener of listeners) listener();
    },
    cut() {
      connected = false;
    },
    hear(revisions: Readonly<Record<string, number>>) {
      const facts = { role: 'authz', seenAtMs: 0 } as const;
      authz = Object.entries(revisions).map(([replica, routingRevision]) => ({ ...facts, replica, routingRevision }));
      told();
    },
    publish: (revision: number) => plane.applyRevision(revisionOf(revision, {})),
  };
}

/** The time after which silence says something. */
const listen = () => vi.advanceTimersByTime(LIMITS.replicaLeaseMs);

describe('what the authz replicas confirm', () => {
  it('is the oldest of their revisions', () => {
    const world = setUp();
    world.connect();
    world.hear({ a: 1, b: 1 });
    world.publish(1);
    world.publish(2);
    world.hear({ a: 2, b: 1 });
    expect(world.plane.stampTarget).toBe(1);
    world.hear({ a: 2, b: 2 });
    expect(world.plane.stampTarget).toBe(2);
  });

  it('does not matter for the revision a start found on the disk: nobody is heard, and it is served', () => {
    const { plane } = setUp({ kept: 7 });
    expect(plane.stampTarget).toBe(7);
    listen();
    expect(plane.stampTarget).toBe(7);
  });

  it('is waited for when NATS is back with a newer revision before any replica was heard', () => {
    const world = setUp({ kept: 7 });
    world.connect();
    world.publish(8);
    expect(world.plane.stampTarget).toBe(7);
    world.hear({ a: 8 });
    expect(world.plane.stampTarget).toBe(8);
  });

  it('is not waited for longer than a lease when there is no replica', () => {
    const world = setUp({ kept: 7 });
    world.connect();
    world.publish(8);
    listen();
    expect(world.plane.stampTarget).toBe(8);
  });

  it('stays what it was while NATS is away, though the leases of all replicas run out', () => {
    const world = setUp();
    world.connect();
    world.hear({ a: 1 });
    world.publish(1);
    world.publish(2); // which the replica has not got yet
    listen();
    world.hear({}); // noticed before the connection is
    expect(world.plane.stampTarget).toBe(1);
    world.cut();
    for (let leases = 0; leases < 5; leases += 1) listen();
    expect(world.plane.stampTarget).toBe(1);
    world.connect();
    expect(world.plane.stampTarget).toBe(1);
    world.hear({ a: 2 });
    expect(world.plane.stampTarget).toBe(2);
  });

  it('is that of all replicas known before, when NATS is back and only one of them is heard yet', () => {
    const world = setUp();
    world.connect();
    world.hear({ a: 1, b: 1 });
    world.publish(1);
    listen();
    world.cut();
    world.hear({});
    world.connect();
    world.publish(2);
    world.hear({ a: 2 });
    expect(world.plane.stampTarget).toBe(1);
    listen(); // b has gone
    expect(world.plane.stampTarget).toBe(2);
  });

  it('is not held up by a replica that leaves in ordinary times', () => {
    const world = setUp();
    world.connect();
    world.hear({ a: 1, b: 1 });
    world.publish(1);
    listen();
    world.publish(2);
    world.hear({ a: 2, b: 1 });
    world.hear({ a: 2 });
    expect(world.plane.stampTarget).toBe(2);
  });
});

describe('the announcement', () => {
  it('tells once of many changes, and not after the end', () => {
    const world = setUp({ kept: 3 });
    expect(world.announced).toEqual([{ role: 'xds', replica: 'xds-1', routingRevision: 3, envoys: [] }]);
    world.stop();
    listen();
    expect(world.announced).toHaveLength(1);
  });
});
