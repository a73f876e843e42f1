import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sampling } from '../../../../xds/translate/tracing/tracing.ts';

/** The text that a drawn id must be below, of the mutations. */
const boundOf = (percent: number | undefined): string =>
  / < '([^']*)'/.exec(JSON.stringify(sampling(percent)))?.[1] ?? 'none';
const share = (bound: string): number => {
  let below = 0;
  for (let n = 0; n < 65_536; n += 1) if (`${n.toString(16).padStart(4, '0')}0000-0000` < bound) below += 1;
  return (100 * below) / 65_536;
};

test('all are recorded unless a share is set, and none with 0', () => {
  expect(share(boundOf(undefined))).toBe(100);
  expect(share(boundOf(100))).toBe(100);
  expect(share(boundOf(0))).toBe(0);
});

test('the share of ids below the bound is the one that is asked for', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 }), (percent) => {
      expect(Math.abs(share(boundOf(percent)) - percent)).toBeLessThan(0.01);
    }),
    { numRuns: 20 },
  );
});

test("a client's own mark is removed before anything is drawn", () => {
  expect(sampling(50)[0]).toEqual({ remove: 'x-client-trace-id' });
});
