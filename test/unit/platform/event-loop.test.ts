import { describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { runInTurn, runInTurns } from '#platform/event-loop.ts';
import { countTurns } from '../../support/fixtures/count-turns.ts';

/** Uses the thread for as long as one turn may be used. */
function useTurn(): void {
  const endMs = performance.now() + LIMITS.sliceMaxMs;
  while (performance.now() < endMs);
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('runInTurns', () => {
  it('lets the event loop turn after each step that uses a turn up, and gives the outcome', async () => {
    using counted = countTurns();
    const seen: number[] = [];
    const outcome = await runInTurns(
      (function* () {
        for (let step = 0; step < 4; step += 1) {
          seen.push(counted.turns());
          useTurn();
          yield;
        }
        return 'done';
      })(),
    );
    expect(outcome).toBe('done');
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('goes on in the same turn as long as little of it is used', async () => {
    const turns: number[] = [];
    // More than once: another process may take the processor for as long as a turn.
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await nextTurn();
      using counted = countTurns();
      await runInTurns(
        (function* () {
          yield;
          yield;
        })(),
      );
      turns.push(counted.turns());
    }
    expect(Math.min(...turns)).toBe(0);
  });

  it('has one budget for all that runs side by side', async () => {
    await nextTurn();
    using counted = countTurns();
    const turnsOf: number[] = [];
    const work = () => {
      turnsOf.push(counted.turns());
      useTurn();
    };
    await Promise.all([runInTurn(work), runInTurn(work), runInTurn(work)]);
    expect(new Set(turnsOf).size).toBe(3);
  });

  it('begins a turn with a step that is announced as long', async () => {
    using counted = countTurns();
    const seen: number[] = [];
    await runInTurns(
      (function* () {
        seen.push(counted.turns());
        yield 'long' as const;
        seen.push(counted.turns());
      })(),
    );
    expect(seen[1]).toBeGreaterThan(seen[0] ?? Number.POSITIVE_INFINITY);
  });

  it('lets short work go on between the steps of long work', async () => {
    const order: string[] = [];
    const long = runInTurns(
      (function* () {
        for (let step = 0; step < 10; step += 1) {
          useTurn();
          yield;
        }
        order.push('long');
      })(),
    );
    const short = runInTurn(() => order.push('short'));
    await Promise.all([long, short]);
    expect(order).toEqual(['short', 'long']);
  });

  it('throws what a step throws', async () => {
    const steps = (function* (): Generator<undefined, void, void> {
      yield;
      throw new Error('broken');
    })();
    await expect(runInTurns(steps)).rejects.toThrow('broken');
  });
});
