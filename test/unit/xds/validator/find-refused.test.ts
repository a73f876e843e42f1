import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { findRefused } from '../../../../xds/validator/find-refused.ts';
import type { RunVerdict } from '../../../../xds/validator/judge-run.ts';

/** Runs in which exactly these entries are refused; Envoy names the reason of the first. */
function runs(bad: ReadonlySet<number>, maxCount = Number.POSITIVE_INFINITY) {
  const asked: (readonly number[])[] = [];
  const run = async (entries: readonly number[]): Promise<RunVerdict> => {
    if (asked.length >= maxCount) return { state: 'unavailable', detail: 'no time is left' };
    asked.push(entries);
    const first = entries.find((entry) => bad.has(entry));
    return first === undefined ? { state: 'valid' } : { state: 'invalid', error: `bad ${first}` };
  };
  return { asked, run };
}

const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
const search = (entries: readonly number[], run: ReturnType<typeof runs>['run']) =>
  findRefused({ entries, error: 'the first error' }, run);

describe('findRefused', () => {
  test('finds every refused entry, each with its own reason, whichever they are', async () => {
    const sets = fc.integer({ min: 1, max: 60 }).chain((count) =>
      fc.record({
        count: fc.constant(count),
        bad: fc.uniqueArray(fc.integer({ min: 0, max: count - 1 }), { minLength: 1, maxLength: count }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(sets, async ({ count, bad }) => {
        const { run } = runs(new Set(bad));
        const first = await run(upTo(count));
        const error = first.state === 'invalid' ? first.error : '';
        const { refused, untold } = await findRefused({ entries: upTo(count), error }, run);
        expect(untold).toEqual([]);
        const expected = bad.toSorted((left, right) => left - right);
        expect(refused.toSorted((left, right) => left.entry - right.entry)).toEqual(
          expected.map((entry) => ({ entry, error: `bad ${entry}` })),
        );
      }),
    );
  });

  test('finds one among a thousand in a few runs', async () => {
    const { run, asked } = runs(new Set([777]));
    expect((await search(upTo(1_000), run)).refused.map(({ entry }) => entry)).toEqual([777]);
    expect(asked.length).toBeLessThanOrEqual(21);
  });

  test('tells what it knows when no more may be run', async () => {
    const { run } = runs(new Set([3, 40]), 6);
    const { refused, untold } = await search(upTo(64), run);
    const known = [...refused.map(({ entry }) => entry), ...untold.flatMap(({ entries }) => entries)];
    expect(untold.length).toBeGreaterThan(0);
    expect(known).toEqual(expect.arrayContaining([3, 40]));
    expect(known.length).toBeLessThan(64);
  });

  test('blames nobody whom Envoy takes alone', async () => {
    // Two that are only refused together, as equal names would be.
    const run = async (entries: readonly number[]): Promise<RunVerdict> =>
      entries.includes(1) && entries.includes(2) ? { state: 'invalid', error: 'both' } : { state: 'valid' };
    expect(await search([0, 1, 2, 3], run)).toEqual({ refused: [], untold: [] });
  });

  test('stops when more are found than are told', async () => {
    const count = LIMITS.routingErrorsMaxCount * 4;
    const { run } = runs(new Set(upTo(count)));
    const { refused, untold } = await search(upTo(count), run);
    expect(refused).toHaveLength(LIMITS.routingErrorsMaxCount);
    expect(untold.flatMap(({ entries }) => entries).length).toBe(count - refused.length);
  });
});
