import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CollectionPace } from '#adapters/routing/garbage/collection-pace.ts';
import { LIMITS } from '#domain/limits.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function pace() {
  const rounds: PromiseWithResolvers<void>[] = [];
  const collect = vi.fn(() => {
    const round = Promise.withResolvers<void>();
    rounds.push(round);
    return round.promise;
  });
  return { collect, rounds, pace: new CollectionPace(10, collect) };
}

describe('when garbage is collected', () => {
  it('waits for a moment without publications after so many of them', () => {
    const { collect, pace: it } = pace();
    for (let revision = 1; revision < 10; revision += 1) it.published(revision);
    vi.advanceTimersByTime(10 * LIMITS.routingGarbageQuietMs);
    expect(collect).not.toHaveBeenCalled();
    for (let revision = 10; revision < 20; revision += 1) {
      it.published(revision);
      vi.advanceTimersByTime(LIMITS.routingGarbageQuietMs - 1);
    }
    expect(collect).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(collect).toHaveBeenCalledOnce();
  });

  it('does not wait for ever', () => {
    const { collect, pace: it } = pace();
    const overdue = 10 + 10 * LIMITS.routingGarbageOverdueRounds;
    for (let revision = 10; revision < overdue; revision += 1) it.published(revision);
    expect(collect).not.toHaveBeenCalled();
    it.published(overdue);
    expect(collect).toHaveBeenCalledOnce();
  });

  it('has one round at a time', async () => {
    const { collect, rounds, pace: it } = pace();
    it.published(10);
    vi.advanceTimersByTime(LIMITS.routingGarbageQuietMs);
    it.published(20);
    vi.advanceTimersByTime(LIMITS.routingGarbageQuietMs);
    expect(collect).toHaveBeenCalledOnce();
    rounds[0]?.resolve();
    await vi.advanceTimersByTimeAsync(0);
    it.published(21);
    vi.advanceTimersByTime(LIMITS.routingGarbageQuietMs);
    expect(collect).toHaveBeenCalledTimes(2);
  });
});
