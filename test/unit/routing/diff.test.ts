import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SERVICE_KINDS } from '#domain/ids.ts';
import { isDiffCursor, type PlacementMove, type RoutingContent } from '#domain/routing/diff.ts';
import { PlacementTable } from '#domain/routing/placement-table.ts';
import { revisionFromChanges } from '#domain/routing/revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { diffRouting, revisionFromRollback, tenantsOnChangedShards } from '../../support/fixtures/routing-at-once.ts';
import { manyTenants, ROUTING_NOTE, routingDocument, snapshotOf } from '../../support/routing.ts';

const ALL = { limit: 10_000 };
const NONE = { added: [], removed: [], changed: [] };

const moved = (parent: RoutingSnapshot, ...changes: Parameters<typeof revisionFromChanges>[1]): RoutingSnapshot => {
  const draft = revisionFromChanges(parent, changes, ROUTING_NOTE);
  if (draft === undefined) throw new Error('nothing moved');
  return { ...draft, manifest: '' };
};

describe('the difference of two revisions', () => {
  const first = snapshotOf(routingDocument({ acme: 's1', globex: 's2' }));

  it('names each kind that moved, a new placement and one that is gone', () => {
    const next = moved(first, { tenant: 'acme', projection: 's2' }, { tenant: 'globex', runner: null });
    const last = moved(next, { tenant: 'new', aggregate: 's1' });
    expect(diffRouting(first, last, ALL)).toEqual({
      shards: { aggregate: NONE, projection: NONE, runner: NONE },
      totals: { shards: 0, placements: 3, tenants: 3 },
      moves: [
        { tenant: 'acme', kind: 'projection', before: 's1', after: 's2' },
        { tenant: 'globex', kind: 'runner', before: 's2', after: null },
        { tenant: 'new', kind: 'aggregate', before: null, after: 's1' },
      ],
    });
  });

  it('tells shards that came, went and were changed, per kind', () => {
    const document = routingDocument({ acme: 's1' }, ['s1', 's3']);
    const runners = { s1: { endpoints: [{ address: '10.9.9.9', port: 1 }] } };
    const next = snapshotOf({ ...document, runner_shards: runners }, first);
    const { shards, totals } = diffRouting(first, next, ALL);
    expect(shards).toEqual({
      aggregate: { added: ['s3'], removed: ['s2'], changed: [] },
      projection: { added: ['s3'], removed: ['s2'], changed: [] },
      runner: { added: [], removed: ['s2'], changed: ['s1'] },
    });
    expect(totals).toEqual({ shards: 6, placements: 3, tenants: 1 });
    expect(tenantsOnChangedShards(next, { shards })).toBe(1);
    expect(tenantsOnChangedShards(next, diffRouting(next, next, ALL))).toBe(0);
  });

  it('sees no difference between equal contents that share no object', () => {
    const document = routingDocument({ acme: 's1', globex: 's2' });
    const { totals } = diffRouting(snapshotOf(document), snapshotOf(document), ALL);
    expect(totals).toEqual({ shards: 0, placements: 0, tenants: 0 });
  });

  it('sees no difference after a rollback, although epochs are newer', () => {
    const next = moved(first, { tenant: 'acme', projection: 's2' });
    const draft = revisionFromRollback(next, first, ROUTING_NOTE);
    if (draft === undefined) throw new Error('nothing rolled back');
    expect(diffRouting(first, draft, ALL).totals.placements).toBe(0);
    expect(diffRouting(next, draft, ALL).moves).toEqual([
      { tenant: 'acme', kind: 'projection', before: 's2', after: 's1' },
    ]);
  });

  it('knows its cursors', () => {
    expect(['acme.runner', 'a-b_c.aggregate'].map(isDiffCursor)).toEqual([true, true]);
    expect(['', 'acme', 'acme.king', '.runner', 'a.b.runner'].some(isDiffCursor)).toBe(false);
  });

  it('looks into no bucket that both share', () => {
    const many = snapshotOf(manyTenants({ tenants: 5_000, shards: 4 }));
    const next = moved(many, { tenant: 't17', projection: 's3' });
    let looked = 0;
    const counting = (snapshot: RoutingSnapshot): RoutingContent => ({
      shards: snapshot.shards,
      placements: new PlacementTable(
        Array.from({ length: 256 }, (_, index) => counted(snapshot.placements.bucket(index))),
      ),
    });
    const seen = new Map<object, ReadonlyMap<string, never>>();
    function counted<Bucket extends ReadonlyMap<string, unknown>>(bucket: Bucket): Bucket {
      const known = seen.get(bucket);
      if (known !== undefined) return known as unknown as Bucket;
      const spy = new Proxy(bucket, {
        get: (target, name) => {
          if (name !== 'size') looked += 1;
          const value: unknown = Reflect.get(target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
      seen.set(bucket, spy as never);
      return spy;
    }
    const { totals } = diffRouting(counting(many), counting(next), ALL);
    expect(totals).toEqual({ shards: 0, placements: 1, tenants: 1 });
    // One bucket of 256, in two versions: the walk over each and a look-up per tenant.
    expect(looked).toBeLessThan(100);
  });
});

describe('for any two revisions', () => {
  const tenants = ['a', 'a-b', 'a0', 'b', 'c_d', 'zz'];
  const table = fc.record(
    Object.fromEntries(tenants.map((tenant) => [tenant, fc.constantFrom('s1', 's2', undefined)] as const)),
  );
  const contents = fc
    .record({ aggregate: table, projection: table, runner: table, shards: fc.subarray(['s3', 's4']) })
    .map(({ shards, ...placed }) =>
      snapshotOf({
        ...routingDocument({}, ['s1', 's2', ...shards]),
        ...Object.fromEntries(
          SERVICE_KINDS.map((kind) => [`${kind}_placement`, JSON.parse(JSON.stringify(placed[kind]))]),
        ),
      }),
    );

  it('the moves are exactly what a look at every tenant finds, in order', () => {
    fc.assert(
      fc.property(contents, contents, (before, after) => {
        const slow: PlacementMove[] = tenants.flatMap((tenant) =>
          SERVICE_KINDS.map((kind) => ({
            tenant,
            kind,
            before: before.placements.get(tenant)?.[kind]?.shard ?? null,
            after: after.placements.get(tenant)?.[kind]?.shard ?? null,
          })).filter((move) => move.before !== move.after),
        );
        const { moves, totals, shards } = diffRouting(before, after, ALL);
        expect(moves).toEqual(slow);
        expect(totals.placements).toBe(slow.length);
        expect(totals.tenants).toBe(new Set(slow.map(({ tenant }) => tenant)).size);
        const added = [...after.shards.runner.keys()].filter((name) => !before.shards.runner.has(name));
        expect(shards.runner.added).toEqual(added);
      }),
    );
  });

  it('pages of any size together are the whole', () => {
    fc.assert(
      fc.property(contents, contents, fc.integer({ min: 1, max: 5 }), (before, after, limit) => {
        const pages: PlacementMove[] = [];
        let cursor: string | undefined;
        for (let page = 0; page < 50; page += 1) {
          const { moves, nextCursor } = diffRouting(before, after, {
            limit,
            ...(cursor === undefined ? {} : { cursor }),
          });
          expect(moves.length).toBeLessThanOrEqual(limit);
          pages.push(...moves);
          cursor = nextCursor;
          if (cursor === undefined) break;
        }
        expect(pages).toEqual(diffRouting(before, after, ALL).moves);
      }),
    );
  });

  it('the other way round swaps before and after, added and removed', () => {
    fc.assert(
      fc.property(contents, contents, (left, right) => {
        const there = diffRouting(left, right, ALL);
        const back = diffRouting(right, left, ALL);
        expect(back.moves.map((move) => ({ ...move, before: move.after, after: move.before }))).toEqual(there.moves);
        for (const kind of SERVICE_KINDS) {
          expect(back.shards[kind].added).toEqual(there.shards[kind].removed);
          expect(back.shards[kind].changed).toEqual(there.shards[kind].changed);
        }
      }),
    );
  });
});
