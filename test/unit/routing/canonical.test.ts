import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  manifestText,
  parseManifest,
  parsePlacementChunk,
  parseShardDirectory,
  placementChunkText,
  shardDirectoryText,
} from '#domain/routing/canonical.ts';
import { type Head, headText, parseHead } from '#domain/routing/head.ts';
import { bucketOf, placementTableOf } from '#domain/routing/placement-table.ts';
import type { ShardDirectory, TenantPlacements } from '#domain/routing/types.ts';

const acme = bucketOf('acme');
const chunk = (text: string) => parsePlacementChunk(text, acme);
const placement = fc.record({ shard: fc.constantFrom('s1', 'a_b'), epoch: fc.integer({ min: 1, max: 2 ** 40 }) });
const tenant: fc.Arbitrary<TenantPlacements> = fc
  .record({ aggregate: placement, projection: placement, runner: placement }, { requiredKeys: [] })
  .filter((placements) => Object.keys(placements).length > 0);

describe('placement chunks', () => {
  it('have one spelling, in the order of names', () => {
    const bucket = new Map<string, TenantPlacements>([
      ['globex', { runner: { shard: 's2', epoch: 3 } }],
      ['acme', { projection: { shard: 's1', epoch: 2 }, aggregate: { shard: 's1', epoch: 7 } }],
      ['10', { runner: { shard: 's2', epoch: 3 } }],
    ]);
    const text =
      '{"10":{"runner":["s2",3]},"acme":{"aggregate":["s1",7],"projection":["s1",2]},"globex":{"runner":["s2",3]}}';
    expect(placementChunkText(bucket)).toBe(text);
  });

  it('are read back as they were', () => {
    const tables = fc
      .dictionary(fc.stringMatching(/^[a-z0-9]{1,3}$/), tenant)
      .map((entries) => placementTableOf(Object.entries(entries)));
    fc.assert(
      fc.property(tables, (table) => {
        for (const index of new Set([...table.entries()].map(([name]) => bucketOf(name)))) {
          const text = placementChunkText(table.bucket(index));
          const parsed = parsePlacementChunk(text, index);
          expect(parsed).toEqual({ ok: true, value: table.bucket(index) });
          expect(parsed.ok && placementChunkText(parsed.value)).toBe(text);
        }
      }),
    );
  });

  it.each([
    'no JSON',
    '[]',
    '{"globex":{"aggregate":["s1",1]}}',
    '{"ACME":{"aggregate":["s1",1]}}',
    '{"acme":{}}',
    '{"acme":{"aggregate":["s1",0]}}',
    '{"acme":{"aggregate":["s1",1.5]}}',
    '{"acme":{"aggregate":["S 1",1]}}',
    '{"acme":{"aggregate":["s1"]}}',
    '{"acme":{"aggregate":["s1",1],"batch":["s1",1]}}',
    '{"acme":[]}',
  ])('are refused when damaged: %s', (text) => {
    expect(chunk(text)).toMatchObject({ ok: false, error: { part: 'placements' } });
  });
});

describe('shard directories', () => {
  it('have one spelling and are read back as they were', () => {
    const shards: ShardDirectory = new Map([
      ['s2', { endpoints: [{ address: 'node', port: 2, weight: 3 }], protocol: 'http1', health: { path: '/"x' } }],
      ['s1', { endpoints: [], protocol: 'h2' }],
    ]);
    const text = shardDirectoryText(shards);
    expect(text).toBe(
      '{"s1":{"endpoints":[],"protocol":"h2"},' +
        '"s2":{"endpoints":[{"address":"node","port":2,"weight":3}],"health":{"path":"/\\"x"},"protocol":"http1"}}',
    );
    expect(JSON.parse(text)).toBeTypeOf('object');
    const valid: ShardDirectory = new Map([['s1', { endpoints: [], protocol: 'h2' }]]);
    expect(parseShardDirectory(shardDirectoryText(valid))).toEqual({ ok: true, value: valid });
  });

  it.each(['{"s1":{}}', '{"S":{"endpoints":[]}}', '{"s1":{"endpoints":[{"address":"a","port":0}]}}', '7'])(
    'are refused when damaged: %s',
    (text) => {
      expect(parseShardDirectory(text)).toMatchObject({ ok: false, error: { part: 'shards' } });
    },
  );
});

describe('manifests', () => {
  const name = (digit: string) => digit.repeat(64);
  const parts = {
    placements: Array.from({ length: 256 }, (_, index) => name((index % 16).toString(16))),
    shards: { aggregate: name('a'), projection: name('b'), runner: name('c') },
  };

  it('are read back as they were', () => {
    expect(parseManifest(manifestText(parts))).toEqual({ ok: true, value: { schema: 1, ...parts } });
  });

  it('are refused when damaged', () => {
    const texts = [
      'x',
      manifestText({ ...parts, placements: parts.placements.slice(1) }),
      manifestText({ ...parts, placements: [...parts.placements.slice(1), 'A'.repeat(64)] }),
      manifestText({ ...parts, shards: { ...parts.shards, runner: '' } }),
      manifestText(parts).replace('"schema":1', '"schema":2'),
    ];
    for (const text of texts) expect(parseManifest(text)).toMatchObject({ ok: false, error: { part: 'manifest' } });
  });
});

describe('heads', () => {
  const head: Head = {
    schema: 1,
    revision: 8,
    parent: 7,
    manifest: 'a'.repeat(64),
    kindRevisions: { aggregate: 8, projection: 2, runner: 1 },
    at: '2026-01-01T00:00:00.000Z',
    by: 'ann',
    note: 'why "so"',
    changes: [{ tenant: 'acme', aggregate: 's2', runner: null }],
  };

  it('are read back as they were', () => {
    expect(parseHead(headText(head))).toEqual({ ok: true, value: { form: 'revision', head } });
    const { changes: _, ...plain } = head;
    expect(parseHead(headText(plain))).toEqual({ ok: true, value: { form: 'revision', head: plain } });
  });

  it('may be a table put by hand', () => {
    expect(parseHead('{"table":{"runner_shards":{}},"note":"by hand"}')).toEqual({
      ok: true,
      value: { form: 'inline', inline: { table: { runner_shards: {} }, note: 'by hand' } },
    });
  });

  it('lose odd changes, which only save work, and nothing else', () => {
    const odd = { ...head, changes: [{ tenant: 'acme', aggregate: 7 }] };
    const { changes: _, ...plain } = head;
    expect(parseHead(JSON.stringify(odd))).toEqual({ ok: true, value: { form: 'revision', head: plain } });
  });

  it.each([
    { schema: 2 },
    { revision: 0 },
    { parent: 8 },
    { manifest: 'a' },
    { kindRevisions: { aggregate: 1 } },
    { by: 7 },
  ])('are refused with %j', (member) => {
    expect(parseHead(JSON.stringify({ ...head, ...member }))).toMatchObject({ ok: false, error: { part: 'head' } });
  });
});
