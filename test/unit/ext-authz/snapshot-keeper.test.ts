import { describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { SnapshotKeeper } from '../../../src/authz/ext-authz/snapshot-keeper.ts';
import { StampWaiters } from '../../../src/authz/ext-authz/stamp-waiters.ts';
import { at, replicaBoard, routingSource, snapshotOf } from '../../support/check-fixture.ts';

const revision = (number: number) => snapshotOf(number, { acme: { runner: at(`s${number}`, number) } });

function keeping(maxCount = 1_000) {
  const clock = { ms: 1_000_000, nowMs: (): number => clock.ms };
  const source = routingSource();
  const board = replicaBoard();
  const keeper = new SnapshotKeeper({ source, board, clock, maxCount });
  const push = (from: number, to: number) => {
    for (let number = from; number <= to; number += 1) source.push(revision(number));
  };
  const clusterAt = (stamp: number) => {
    const routing = keeper.at(stamp);
    if (routing.state !== 'held') return routing.state;
    return `${routing.placement('acme', 'runner')?.cluster}${routing.substituted ? ' substituted' : ''}`;
  };
  return { clock, source, board, keeper, push, clusterAt };
}

describe('a stamp older than what is here', () => {
  const started = (read: (wanted: number) => Promise<ReturnType<typeof revision> | undefined>) => {
    const clock = { ms: 1_000_000, nowMs: (): number => clock.ms };
    const source = routingSource(revision(9));
    const board = replicaBoard();
    board.report(5);
    const keeper = new SnapshotKeeper({ source, board, clock, read });
    const changed = new Promise<void>((resolve) => void keeper.onRevision(resolve));
    return { clock, source, keeper, changed };
  };
  const shard = (routing: ReturnType<SnapshotKeeper['at']>) =>
    routing.state === 'held' ? [routing.placement('acme', 'runner')?.cluster, routing.substituted] : routing.state;

  it('is read from the store, and waited for meanwhile', async () => {
    const asked: number[] = [];
    const { keeper, changed } = started(async (number) => {
      asked.push(number);
      return revision(number);
    });
    expect(keeper.at(7).state).toBe('ahead');
    expect(keeper.at(7).state).toBe('ahead');
    await changed;
    expect(shard(keeper.at(7))).toEqual(['runner/s7', false]);
    expect(shard(keeper.at(9))).toEqual(['runner/s9', false]);
    expect(asked).toEqual([7]);
  });

  it('is replaced by the newest when it is not kept, cannot be read, or there is no more time', async () => {
    for (const read of [async () => undefined, async () => Promise.reject(new Error('storage is away'))]) {
      const { keeper, changed, clock } = started(read);
      expect(keeper.at(7).state).toBe('ahead');
      expect(shard(keeper.atLast(7))).toEqual(['runner/s9', true]);
      await changed;
      expect(shard(keeper.at(7))).toEqual(['runner/s9', true]);
      clock.ms += 10_000;
      expect(keeper.at(7).state).toBe('ahead');
    }
  });

  it('is asked for a few at a time', () => {
    const { keeper } = started(() => new Promise(() => {}));
    const states = Array.from({ length: 9 }, (_, index) => keeper.at(index).state);
    expect(states).toEqual([...Array.from({ length: 8 }, () => 'ahead'), 'held']);
  });

  it('that is newer than all that is here is waited for, never substituted', () => {
    const { keeper } = started(async () => undefined);
    expect(keeper.at(10).state).toBe('ahead');
    expect(keeper.atLast(10).state).toBe('ahead');
  });
});

describe('kept revisions', () => {
  it('begin with the one the source holds already', () => {
    const keeper = new SnapshotKeeper({
      source: routingSource(revision(5)),
      board: replicaBoard(),
      clock: { nowMs: () => 0 },
    });
    expect(keeper.newestRevision()).toBe(5);
  });

  it('are all of the last 30 s, whatever Envoys acknowledged', () => {
    const { board, push, clusterAt, keeper, clock } = keeping();
    board.report(500);
    push(1, 500);
    expect(keeper.count()).toBe(500);
    expect(clusterAt(1)).toBe('runner/s1');
    clock.ms += LIMITS.routingSnapshotsMinAgeMs + 1;
    push(501, 501);
    expect(clusterAt(500)).toBe('runner/s500');
    expect(clusterAt(499)).toBe('runner/s501 substituted');
    expect(keeper.count()).toBe(2);
  });

  it('are all from the oldest stamp of any live xds server, however old', () => {
    const { board, push, clusterAt, clock } = keeping();
    push(1, 10);
    board.report(9, 4);
    clock.ms += 86_400_000;
    push(11, 11);
    expect(clusterAt(4)).toBe('runner/s4');
    expect(clusterAt(3)).toBe('runner/s11 substituted');
  });

  it('stay while no xds server is heard of: nobody can get a newer stamp', () => {
    const { board, push, clusterAt, clock } = keeping();
    push(1, 5);
    board.report(3);
    board.report();
    clock.ms += 86_400_000;
    push(6, 50);
    expect(clusterAt(3)).toBe('runner/s3');
  });

  it('are bounded, and the one an Envoy is known to route by goes last', () => {
    const { board, push, clusterAt, keeper } = keeping(10);
    push(1, 1);
    board.report(1);
    push(2, 100);
    expect(keeper.count()).toBe(10);
    expect(clusterAt(1)).toBe('runner/s1');
    expect(clusterAt(100)).toBe('runner/s100');
    expect(clusterAt(50)).toBe('runner/s100 substituted');
  });

  it('are none before the first and none of the future', () => {
    const { push, clusterAt } = keeping();
    expect(clusterAt(1)).toBe('ahead');
    push(1, 1);
    expect(clusterAt(2)).toBe('ahead');
  });

  it('begin anew with another history', () => {
    const { push, clusterAt, keeper } = keeping();
    push(1, 9);
    push(5, 5);
    expect(keeper.newestRevision()).toBe(5);
    expect(clusterAt(4)).toBe('runner/s5 substituted');
    expect(clusterAt(9)).toBe('ahead');
  });

  it('tell of each new one when it can be asked for', () => {
    const { keeper, push, clusterAt } = keeping();
    const seen: string[] = [];
    const end = keeper.onRevision(() => seen.push(clusterAt(keeper.newestRevision())));
    push(1, 2);
    end();
    push(3, 3);
    expect(seen).toEqual(['runner/s1', 'runner/s2']);
  });
});

describe('waiting for a stamp', () => {
  it('ends with the revision or a newer one, once', () => {
    using waiters = new StampWaiters({ maxMs: 60_000 });
    const ended: number[] = [];
    for (const number of [5, 6, 7]) waiters.wait(number, () => ended.push(number));
    waiters.arrived(6);
    waiters.arrived(6);
    expect(ended).toEqual([5, 6]);
    expect(waiters.count()).toBe(1);
  });

  it('ends when the time is up', async () => {
    using waiters = new StampWaiters({ maxMs: 1 });
    await new Promise<void>((resolve) => waiters.wait(5, resolve));
    expect(waiters.count()).toBe(0);
  });

  it('is bounded in number, and can be given up', () => {
    using waiters = new StampWaiters({ maxMs: 60_000, maxCount: 1 });
    let ended = 0;
    const giveUp = waiters.wait(5, () => {
      ended += 1;
    });
    expect(waiters.wait(5, () => {})).toBeUndefined();
    giveUp?.();
    waiters.arrived(9);
    expect(ended).toBe(0);
    expect(waiters.wait(5, () => {})).toBeDefined();
  });
});
