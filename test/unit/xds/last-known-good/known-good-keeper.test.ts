import { describe, expect, it } from 'vitest';
import type { KnownGood } from '../../../../xds/last-known-good/known-good.ts';
import { KnownGoodKeeper } from '../../../../xds/last-known-good/known-good-keeper.ts';
import { silentLog } from '../../../support/nats.ts';
import { routingDocument, snapshotOf } from '../../../support/routing.ts';
import { Clock } from '../simulation/world.ts';

const base = snapshotOf(routingDocument({ acme: 's1' }));
const revision = (number: number): KnownGood => ({ ...base, revision: number });

function setUp() {
  const clock = new Clock();
  const disk = { written: [] as number[], failure: undefined as string | undefined };
  const gate = { blocked: undefined as Promise<void> | undefined };
  const keeper = new KnownGoodKeeper({
    write: async (content) => {
      await gate.blocked;
      if (disk.failure !== undefined) throw new Error(disk.failure);
      disk.written.push(content.revision);
    },
    schedule: clock.schedule,
    nowMs: () => clock.nowMs,
    log: silentLog,
  });
  /** Lets the time pass and what it started end. */
  const pass = async (ms: number) => {
    clock.advance(ms);
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  };
  return { keeper, disk, gate, pass };
}

describe('keeping the last known good routing', () => {
  it('keeps what an Envoy acknowledged, and nothing that was only offered', async () => {
    const { keeper, disk, pass } = setUp();
    keeper.offered(revision(1));
    await pass(5_000);
    expect(disk.written).toEqual([]);
    keeper.acknowledged(1);
    expect(disk.written).toEqual([]); // not on the path of the acknowledgement
    await pass(0);
    expect([disk.written, keeper.keptRevision]).toEqual([[1], 1]);
  });

  it('writes once a second at most under a stream of moves, and the newest acknowledged in the end', async () => {
    const { keeper, disk, pass } = setUp();
    for (let number = 1; number <= 200; number += 1) {
      keeper.offered(revision(number));
      keeper.acknowledged(number);
      await pass(20); // 50 a second for 4 s
    }
    await pass(1_000);
    expect(disk.written).toEqual([1, 50, 100, 150, 200]);
  });

  it('never writes an older one after a newer one, whichever Envoy is behind', async () => {
    const { keeper, disk, pass } = setUp();
    keeper.found(5);
    for (const number of [4, 5, 6, 7]) keeper.offered(revision(number));
    for (const stamp of [4, 5]) keeper.acknowledged(stamp);
    await pass(2_000);
    keeper.acknowledged(7);
    keeper.acknowledged(6);
    await pass(2_000);
    expect(disk.written).toEqual([7]);
  });

  it('keeps the revision before a stamp that was never offered under its own number', async () => {
    const { keeper, disk, pass } = setUp();
    keeper.offered(revision(5));
    keeper.offered(revision(10));
    keeper.acknowledged(7);
    await pass(1_000);
    keeper.acknowledged(10);
    await pass(1_000);
    expect(disk.written).toEqual([5, 10]);
  });

  it('writes nothing beside a write that is under way', async () => {
    const { keeper, disk, gate, pass } = setUp();
    const slow = Promise.withResolvers<void>();
    gate.blocked = slow.promise;
    for (const number of [1, 2, 3]) {
      keeper.offered(revision(number));
      keeper.acknowledged(number);
      await pass(3_000);
    }
    expect(disk.written).toEqual([]);
    slow.resolve();
    await pass(0);
    expect(disk.written).toEqual([1]);
    await pass(1_000);
    expect(disk.written).toEqual([1, 3]);
  });

  it('tries again after a failure, with what is newest then, and says why', async () => {
    const { keeper, disk, pass } = setUp();
    disk.failure = 'ENOSPC';
    keeper.offered(revision(1));
    keeper.acknowledged(1);
    await pass(0);
    expect([keeper.keptRevision, keeper.problem]).toEqual([0, 'ENOSPC']);
    keeper.offered(revision(2));
    keeper.acknowledged(2);
    disk.failure = undefined;
    await pass(1_000);
    expect([disk.written, keeper.keptRevision, keeper.problem]).toEqual([[2], 2, undefined]);
  });

  it('tries again by itself, once a second, until it succeeds', async () => {
    const { keeper, disk, pass } = setUp();
    disk.failure = 'ENOSPC';
    keeper.offered(revision(1));
    keeper.acknowledged(1);
    for (let seconds = 0; seconds < 5; seconds += 1) await pass(1_000);
    disk.failure = undefined;
    await pass(1_000);
    expect([disk.written, keeper.keptRevision, keeper.problem]).toEqual([[1], 1, undefined]);
  });

  it('writes what is left when it ends, and nothing after that', async () => {
    const { keeper, disk, pass } = setUp();
    for (const number of [1, 2]) {
      keeper.offered(revision(number));
      keeper.acknowledged(number);
      await pass(0);
    }
    expect(disk.written).toEqual([1]);
    await keeper[Symbol.asyncDispose]();
    expect(disk.written).toEqual([1, 2]);
    keeper.offered(revision(3));
    keeper.acknowledged(3);
    await pass(5_000);
    expect(disk.written).toEqual([1, 2]);
  });

  it('remembers a bounded number of revisions that nobody acknowledges', async () => {
    const { keeper, disk, pass } = setUp();
    for (let number = 1; number <= 2_000; number += 1) keeper.offered(revision(number));
    keeper.acknowledged(1_000);
    await pass(1_000);
    expect(disk.written).toEqual([]);
    keeper.acknowledged(2_000);
    await pass(1_000);
    expect(disk.written).toEqual([2_000]);
  });
});
