import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeKnownGood, encodeKnownGood, type KnownGood } from '../../../../xds/last-known-good/known-good.ts';
import { parseRoutingDocument } from '../../../support/fixtures/routing-at-once.ts';
import { manyTenants, routingDocument, snapshotOf } from '../../../support/routing.ts';

const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,8}$/);
const endpoint = fc.record({
  address: fc.ipV4(),
  port: fc.integer({ min: 1, max: 65_535 }),
  weight: fc.integer({ min: 1, max: 1_000 }),
});
const shard = fc.record(
  {
    endpoints: fc.uniqueArray(endpoint, {
      minLength: 1,
      maxLength: 3,
      selector: ({ address, port }) => `${address}:${port}`,
    }),
    protocol: fc.constantFrom('http1', 'h2'),
    health: fc.record({ path: fc.constantFrom('/healthz', '/a?b="c"', '/ä') }),
  },
  { requiredKeys: ['endpoints'] },
);
const shards = fc.dictionary(name, shard, { maxKeys: 5 });
const revision = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

/** Contents as the store gives them: shards that went through the parser of routing documents. */
const content = fc
  .record({
    revision,
    kindRevisions: fc.record({ aggregate: revision, projection: revision, runner: revision }),
    by: fc.string({ unit: 'binary' }),
    note: fc.string({ unit: 'binary' }),
    document: fc.record({ aggregate_shards: shards, projection_shards: shards, runner_shards: shards }),
  })
  .map(({ document, ...head }): KnownGood | undefined => {
    const parsed = parseRoutingDocument({ ...routingDocument({}, []), ...document });
    if (!parsed.ok) return undefined;
    const rest = { parent: head.revision - 1, manifest: 'a'.repeat(64), at: '2026-01-01T00:00:00.000Z' };
    return { ...head, ...rest, shards: parsed.value.shards };
  })
  .filter((each) => each !== undefined);

const small = snapshotOf(routingDocument({ acme: 's1' }));

describe('the file of the last known good routing', () => {
  it('gives back what was written, and has equal bytes for equal content', () => {
    fc.assert(
      fc.property(content, (written) => {
        const bytes = encodeKnownGood(written);
        const read = decodeKnownGood(bytes);
        expect(read).toEqual({ ok: true, value: written });
        if (read.ok) expect(encodeKnownGood(read.value).equals(bytes)).toBe(true);
      }),
    );
  });

  it('is refused when any one byte of it is another', () => {
    const bytes = encodeKnownGood(small);
    for (let at = 0; at < bytes.length; at += 1) {
      for (const flipped of [0x01, 0x20, 0x80, 0xff]) {
        const damaged = Buffer.from(bytes);
        damaged.writeUInt8(bytes.readUInt8(at) ^ flipped, at);
        expect([at, flipped, decodeKnownGood(damaged).ok]).toEqual([at, flipped, false]);
      }
    }
  });

  it('is refused when it is cut off anywhere or something follows it', () => {
    const bytes = encodeKnownGood(small);
    for (let length = 0; length < bytes.length; length += 1) {
      expect([length, decodeKnownGood(bytes.subarray(0, length)).ok]).toEqual([length, false]);
    }
    for (const more of ['\n', ' ', 'x', '\0']) {
      expect(decodeKnownGood(Buffer.concat([bytes, Buffer.from(more)])).ok).toBe(false);
    }
  });

  it('is refused for another version, whatever it holds, and says which one it is', () => {
    const text = encodeKnownGood(small).toString('utf8');
    expect(decodeKnownGood(Buffer.from(text.replace('gateway-routing 1 ', 'gateway-routing 2 ')))).toEqual({
      ok: false,
      error: 'has format version 2, this program reads version 1',
    });
  });

  it('says what is wrong in words', () => {
    const bytes = encodeKnownGood(small);
    const errorOf = (text: Buffer) => {
      const decoded = decodeKnownGood(text);
      return decoded.ok ? 'ok' : decoded.error;
    };
    expect(errorOf(Buffer.from('{"schema":1}'))).toContain('not a file of this program');
    expect(errorOf(Buffer.alloc(0))).toContain('not a file of this program');
    expect(errorOf(bytes.subarray(0, bytes.length - 1))).toContain('damaged or truncated');
  });

  it('does not grow with the tenants', () => {
    const few = encodeKnownGood(snapshotOf(manyTenants({ tenants: 1, shards: 3 })));
    const many = encodeKnownGood(snapshotOf(manyTenants({ tenants: 5_000, shards: 3 })));
    expect(many.length).toBe(few.length);
  });
});
