import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketName, sha256Of } from '#adapters/routing/parts.ts';
import { placementChunkText } from '#domain/routing/canonical.ts';
import { AsciiText } from '#domain/routing/text/ascii-text.ts';
import type { TenantPlacements } from '#domain/routing/types.ts';

const textOf = (text: AsciiText) => Buffer.from(text.bytes).toString('latin1');

describe('a text that is put together as bytes', () => {
  it('is the pieces one after another, however long, and only those since it was cleared', () => {
    const pieces = fc.array(fc.stringMatching(/^[ -~]*$/, { size: 'large' }));
    const text = new AsciiText();
    fc.assert(
      fc.property(pieces, (some) => {
        text.clear();
        for (const piece of some) text.add(piece);
        expect(textOf(text)).toBe(some.join(''));
      }),
    );
    text.clear();
    for (let count = 0; count < 3; count += 1) text.add('x'.repeat(100_000));
    expect(textOf(text)).toBe('x'.repeat(300_000));
  });

  it('gives a bucket the name of its canonical text, whatever order it is in', () => {
    const placement = fc.record({ shard: fc.constantFrom('s1', 's-2'), epoch: fc.integer({ min: 1, max: 1e9 }) });
    const placements: fc.Arbitrary<TenantPlacements> = fc.record(
      { aggregate: placement, projection: placement, runner: placement },
      { requiredKeys: [] },
    );
    const tenant = fc.stringMatching(/^[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(tenant, placements)), (entries) => {
        const bucket = new Map(entries);
        expect(bucketName(bucket)).toBe(sha256Of(placementChunkText(bucket)));
        expect(bucketName(new Map([...bucket].toReversed()))).toBe(bucketName(bucket));
      }),
    );
  });
});
