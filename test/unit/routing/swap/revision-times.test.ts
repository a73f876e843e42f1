import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RevisionTimes } from '#domain/routing/swap/revision-times.ts';

describe('when revisions were reached', () => {
  it('a skipped revision is reached with the next newer one', () => {
    const times = new RevisionTimes();
    times.add(3, 100);
    times.add(6, 200);
    expect([3, 4, 6].map((revision) => times.reached(revision)?.atMs)).toEqual([100, 200, 200]);
    expect([2, 7].map((revision) => times.reached(revision))).toEqual([undefined, undefined]);
    expect(times.newest).toEqual({ revision: 6, atMs: 200 });
  });

  it('the first time counts, and nothing goes back', () => {
    const times = new RevisionTimes();
    for (const [revision, atMs] of [
      [5, 10],
      [5, 20],
      [4, 30],
      [0, 40],
    ]) {
      times.add(revision ?? 0, atMs ?? 0);
    }
    expect(times.reached(5)).toEqual({ revision: 5, atMs: 10 });
    expect(times.reached(4)).toBeUndefined();
  });

  it('remembers exactly what a list of the newest would', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 80 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 0, max: 61 }),
        (revisions, maxCount, asked) => {
          const times = new RevisionTimes(maxCount);
          const list: { revision: number; atMs: number }[] = [];
          for (const [atMs, revision] of revisions.entries()) {
            times.add(revision, atMs);
            if (revision > (list.at(-1)?.revision ?? 0)) list.push({ revision, atMs });
          }
          const kept = list.slice(-maxCount);
          const expected =
            asked < (kept[0]?.revision ?? Number.POSITIVE_INFINITY)
              ? undefined
              : kept.find(({ revision }) => revision >= asked);
          expect(times.reached(asked)).toEqual(expected);
          expect(times.newest).toEqual(kept.at(-1));
        },
      ),
    );
  });
});
