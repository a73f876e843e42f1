import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextBackoffMs, RESTART_BACKOFF } from '../../../src/launcher/supervise/restart-backoff.ts';

test('a child that keeps dying is started again ever later, up to the bound', () => {
  const waits: number[] = [];
  for (let previous = 0; waits.length < 9; previous = waits.at(-1) ?? 0) {
    waits.push(nextBackoffMs(RESTART_BACKOFF, previous, 50));
  }
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
});

test('ten seconds of life reset it', () => {
  expect(nextBackoffMs(RESTART_BACKOFF, 5_000, 9_999)).toBe(5_000);
  expect(nextBackoffMs(RESTART_BACKOFF, 5_000, 10_000)).toBe(100);
});

test('whatever the lives, every wait lies between the first and the bound', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20_000)), (lives) => {
      let wait = 0;
      for (const livedMs of lives) {
        wait = nextBackoffMs(RESTART_BACKOFF, wait, livedMs);
        expect(wait).toBeGreaterThanOrEqual(RESTART_BACKOFF.firstMs);
        expect(wait).toBeLessThanOrEqual(RESTART_BACKOFF.maxMs);
      }
    }),
  );
});
