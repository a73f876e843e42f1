import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { pointerTo } from '#domain/routing/mistakes.ts';
import { parseRoutingDocument } from '../../support/fixtures/routing-at-once.ts';

const valid = () => ({
  aggregate_placement: { acme: 's1' },
  projection_placement: { acme: 's1' },
  runner_placement: { acme: 's2' },
  aggregate_shards: { s1: { endpoints: [{ address: '10.0.0.5', port: 9001, weight: 1 }], protocol: 'h2' } },
  projection_shards: { s1: { endpoints: [{ address: 'projection-s1', port: 9002 }] } },
  runner_shards: { s2: { endpoints: [{ address: '10.0.0.7', port: 9003 }], health: { path: '/ready' } } },
});

/** `[pointer, code]` of each mistake, sorted. */
function mistakesIn(document: unknown): readonly (readonly [string, string])[] {
  const parsed = parseRoutingDocument(document);
  if (parsed.ok) return [];
  for (const { detail } of parsed.error) expect(detail).not.toBe('');
  return parsed.error.map(({ pointer, code }) => [pointer, code] as const).sort();
}

const endpoint = { address: '10.0.0.5', port: 9001 };

describe('parseRoutingDocument', () => {
  it('reads the document of the contract and fills in what it leaves out', () => {
    const parsed = parseRoutingDocument(valid());
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    expect(parsed.value.placements).toEqual(new Map([['acme', { aggregate: 's1', projection: 's1', runner: 's2' }]]));
    expect(parsed.value.shards.aggregate.get('s1')).toEqual({
      endpoints: [{ address: '10.0.0.5', port: 9001, weight: 1 }],
      protocol: 'h2',
    });
    expect(parsed.value.shards.projection.get('s1')).toEqual({
      endpoints: [{ address: 'projection-s1', port: 9002, weight: 1 }],
      protocol: 'http1',
    });
    expect(parsed.value.shards.runner.get('s2')?.health).toEqual({ path: '/ready' });
  });

  it('takes a missing member as empty', () => {
    const parsed = parseRoutingDocument({});
    expect(parsed.ok && parsed.value.placements.size).toBe(0);
  });

  it('gives an aggregate shard HTTP/2 by default, because gRPC needs it', () => {
    const parsed = parseRoutingDocument({ aggregate_shards: { s1: { endpoints: [endpoint] } } });
    expect(parsed.ok && parsed.value.shards.aggregate.get('s1')?.protocol).toBe('h2');
  });

  it('allows a shard without endpoints as long as nobody is placed on it', () => {
    expect(mistakesIn({ aggregate_shards: { s1: { endpoints: [] } } })).toEqual([]);
  });

  it('reports every mistake at once, each with its pointer', () => {
    const document = {
      aggregate_placement: { 'Bad/Te~nant': 's1', acme: 'nowhere', globex: 7, one: 'empty', two: 'empty' },
      aggregate_shards: {
        'S 1': { endpoints: [endpoint] },
        s1: { endpoints: [endpoint, { ...endpoint }, { address: '10.0.0.256', port: 0, weight: 1_001, zone: 'a' }] },
        s2: { protocol: 'h3', health: { path: 'ready' } },
        s3: { endpoints: [{ port: 1.5 }, 'x'], weight: 1 },
        empty: { endpoints: [] },
      },
      runner_shards: [],
      agregate_placement: {},
    };
    expect(mistakesIn(document)).toEqual(
      [
        ['/aggregate_placement/Bad~1Te~0nant', 'invalid_tenant_id'],
        ['/aggregate_placement/acme', 'unknown_shard'],
        ['/aggregate_placement/globex', 'wrong_type'],
        ['/aggregate_shards/S 1', 'invalid_shard_name'],
        ['/aggregate_shards/empty/endpoints', 'empty_shard'],
        ['/aggregate_shards/s1/endpoints/1', 'duplicate_endpoint'],
        ['/aggregate_shards/s1/endpoints/2/address', 'invalid_address'],
        ['/aggregate_shards/s1/endpoints/2/port', 'out_of_range'],
        ['/aggregate_shards/s1/endpoints/2/weight', 'out_of_range'],
        ['/aggregate_shards/s1/endpoints/2/zone', 'unknown_member'],
        ['/aggregate_shards/s2/endpoints', 'missing'],
        ['/aggregate_shards/s2/health/path', 'invalid_value'],
        ['/aggregate_shards/s2/protocol', 'invalid_value'],
        ['/aggregate_shards/s3/endpoints/0/address', 'missing'],
        ['/aggregate_shards/s3/endpoints/0/port', 'out_of_range'],
        ['/aggregate_shards/s3/endpoints/1', 'wrong_type'],
        ['/aggregate_shards/s3/weight', 'unknown_member'],
        ['/agregate_placement', 'unknown_member'],
        ['/runner_shards', 'wrong_type'],
      ].sort(),
    );
  });

  it('does not take a mistaken shard for a missing one', () => {
    const document = { aggregate_placement: { acme: 's1' }, aggregate_shards: { s1: { endpoints: 'none' } } };
    expect(mistakesIn(document)).toEqual([['/aggregate_shards/s1/endpoints', 'wrong_type']]);
  });

  it('knows one address in two spellings as a duplicate', () => {
    const endpoints = [
      { address: '2001:DB8::1', port: 1 },
      { address: '2001:db8:0:0:0:0:0:1', port: 1 },
      { address: 'Node.example', port: 1 },
      { address: 'node.example', port: 1 },
    ];
    expect(mistakesIn({ runner_shards: { s1: { endpoints } } })).toEqual([
      ['/runner_shards/s1/endpoints/1', 'duplicate_endpoint'],
      ['/runner_shards/s1/endpoints/3', 'duplicate_endpoint'],
    ]);
  });

  it('places onto shards of the same kind only', () => {
    const document = { ...valid(), projection_shards: {} };
    expect(mistakesIn(document)).toEqual([['/projection_placement/acme', 'unknown_shard']]);
  });

  it.each([null, [], 'text', 7, undefined])('refuses %j', (value) => {
    expect(mistakesIn(value)).toEqual([['', 'wrong_type']]);
  });

  it('shows at most the first hundred mistakes and says how many more there are', () => {
    const count = LIMITS.routingErrorsMaxCount + 50;
    const placements = Object.fromEntries(Array.from({ length: count }, (_, index) => [`t${index}`, 'nowhere']));
    const parsed = parseRoutingDocument({ runner_placement: placements });
    if (parsed.ok) throw new Error('accepted');
    expect(parsed.error).toHaveLength(LIMITS.routingErrorsMaxCount);
    expect(parsed.error.at(-1)).toEqual({ pointer: '', code: 'too_many', detail: '51 more mistakes are not shown' });
  });

  it('bounds the endpoints of a shard', () => {
    const endpoints = Array.from({ length: LIMITS.endpointsPerShardMaxCount + 1 }, () => endpoint);
    expect(mistakesIn({ runner_shards: { s1: { endpoints } } })).toEqual([['/runner_shards/s1/endpoints', 'too_many']]);
  });

  it('refuses rather than throws, whatever is in the document', () => {
    const members = fc.constantFrom(...Object.keys(valid()), 'other');
    const inner = fc.dictionary(fc.oneof(fc.constantFrom('acme', 's1', '__proto__'), fc.string()), fc.jsonValue());
    fc.assert(
      fc.property(fc.dictionary(members, fc.oneof(inner, fc.jsonValue())), (document) => {
        const parsed = parseRoutingDocument(JSON.parse(JSON.stringify(document)));
        if (!parsed.ok) expect(parsed.error.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('pointerTo', () => {
  it('escapes as RFC 6901 section 3 says', () => {
    expect(pointerTo('a/b', 'm~n', '~1', 0, '')).toBe('/a~1b/m~0n/~01/0/');
    expect(pointerTo()).toBe('');
  });
});
