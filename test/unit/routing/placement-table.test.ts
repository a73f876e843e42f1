import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import {
  bucketOf,
  differences,
  differingBuckets,
  EMPTY_PLACEMENTS,
  PlacementTable,
  placementTableOf,
  shardsOf,
  type WantedPlacements,
} from '#domain/routing/placement-table.ts';
import type { PlacementChange, TenantPlacements } from '#domain/routing/types.ts';
import { runToEnd } from '#domain/steps.ts';

const tenants = fc.constantFrom('acme', 'globex', 'constructor', 'x', '0', 'a-b', 'a_b', 't17');
const shards = fc.constantFrom('s1', 's2', 's3');
const targets = fc.option(shards, { nil: null });
const change: fc.Arbitrary<PlacementChange> = fc.record(
  { tenant: tenants, aggregate: targets, projection: targets, runner: targets },
  { requiredKeys: ['tenant'] },
);
const wanted: fc.Arbitrary<Map<string, WantedPlacements>> = fc
  .array(
    fc.tuple(
      tenants,
      fc.record({ aggregate: shards, projection: shards, runner: shards }, { requiredKeys: ['aggregate'] }),
    ),
  )
  .map((entries) => new Map(entries));

/** The obvious model: shard and epoch by "tenant kind". */
type Model = Map<string, { shard: string; epoch: number }>;
const slot = (tenant: string, kind: ServiceKind) => `${tenant} ${kind}`;

function modelOf(table: PlacementTable): Model {
  const model: Model = new Map();
  for (const [tenant, placements] of table.entries()) {
    expect(Object.keys(placements).length).toBeGreaterThan(0);
    for (const kind of SERVICE_KINDS) {
      const placement = placements[kind];
      if (placement !== undefined) model.set(slot(tenant, kind), placement);
    }
  }
  return model;
}

function changeModel(model: Model, changes: readonly PlacementChange[], revision: number): Model {
  const shardOf = new Map([...model].map(([key, { shard }]) => [key, shard]));
  for (const each of changes) {
    for (const kind of SERVICE_KINDS) {
      const target = each[kind];
      if (target === null) shardOf.delete(slot(each.tenant, kind));
      else if (target !== undefined) shardOf.set(slot(each.tenant, kind), target);
    }
  }
  const next: Model = new Map();
  for (const [key, shard] of shardOf) {
    const held = model.get(key);
    next.set(key, held?.shard === shard ? held : { shard, epoch: revision });
  }
  return next;
}

const sorted = (model: Model) => [...model].sort(([a], [b]) => (a < b ? -1 : 1));

describe('PlacementTable', () => {
  it('behaves as a map of placements under any sequence of changes', () => {
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 8 }), (steps) => {
        let table = EMPTY_PLACEMENTS;
        let model: Model = new Map();
        for (const [index, changes] of steps.entries()) {
          const next = table.with(changes, index + 1);
          const before = sorted(modelOf(table));
          model = changeModel(model, changes, index + 1);
          expect(sorted(modelOf(next))).toEqual(sorted(model));
          expect(sorted(modelOf(table))).toEqual(before);
          expect(next.size).toBe(new Set([...model.keys()].map((key) => key.split(' ')[0])).size);
          table = next;
        }
      }),
    );
  });

  it('is the same object exactly when nothing changes, and shares every bucket without a change', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), fc.array(change, { maxLength: 8 }), (first, second) => {
        const before = EMPTY_PLACEMENTS.with(first, 1);
        const after = before.with(second, 2);
        const changed = [...differences(before, after)].map(({ tenant }) => tenant);
        expect(after === before).toBe(changed.length === 0);
        expect(new Set(differingBuckets(before, after))).toEqual(new Set(changed.map(bucketOf)));
      }),
    );
  });

  it('places exactly what is wanted, keeping the epochs of what stays', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), wanted, (changes, want) => {
        const before = EMPTY_PLACEMENTS.with(changes, 1);
        const after = runToEnd(before.withAllInSteps(want, 2));
        expect(new Map([...after.entries()].map(([tenant, placements]) => [tenant, shardsOf(placements)]))).toEqual(
          want,
        );
        for (const [key, { shard, epoch }] of modelOf(after)) {
          expect(epoch).toBe(modelOf(before).get(key)?.shard === shard ? 1 : 2);
        }
        expect(runToEnd(after.withAllInSteps(want, 3))).toBe(after);
      }),
    );
  });

  it('goes back to earlier placements with new epochs for what moves', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), fc.array(change, { maxLength: 8 }), (first, second) => {
        const old = EMPTY_PLACEMENTS.with(first, 1);
        const current = old.with(second, 2);
        const back = runToEnd(current.withPlacementsOfInSteps(old, 3));
        const shardOnly = (table: PlacementTable) => sorted(modelOf(table)).map(([key, { shard }]) => [key, shard]);
        expect(shardOnly(back)).toEqual(shardOnly(old));
        for (const [key, { shard, epoch }] of modelOf(back)) {
          const held = modelOf(current).get(key);
          expect(epoch).toBe(held?.shard === shard ? held.epoch : 3);
        }
      }),
    );
  });

  it('finds every difference, and applying the differences gives the other table', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), fc.array(change, { maxLength: 8 }), (first, second) => {
        const left = EMPTY_PLACEMENTS.with(first, 1);
        const right = EMPTY_PLACEMENTS.with(second, 1);
        const patched = new Map<string, TenantPlacements>(left.entries());
        for (const { tenant, before, after } of differences(left, right)) {
          expect(before).toEqual(left.get(tenant));
          if (after === undefined) patched.delete(tenant);
          else patched.set(tenant, after);
        }
        expect(sorted(modelOf(placementTableOf(patched)))).toEqual(sorted(modelOf(right)));
      }),
    );
  });

  it('shares 255 of 256 buckets by identity after one move among 100,000 tenants', () => {
    const placement = { shard: 's1', epoch: 1 };
    const entries = Array.from({ length: 100_000 }, (_, index) => [`t${index}`, { aggregate: placement }] as const);
    const before = placementTableOf(entries);
    const after = before.with([{ tenant: 't500', aggregate: 's2' }], 2);
    expect(differingBuckets(before, after)).toEqual([bucketOf('t500')]);
    const own = bucketOf('t500');
    const shared = Array.from({ length: 256 }, (_, index) => index).filter(
      (index) => before.bucket(index) === after.bucket(index),
    );
    expect(shared).toHaveLength(255);
    expect(shared).not.toContain(own);
    expect(after.size).toBe(100_000);
    expect(after.get('t500')).toEqual({ aggregate: { shard: 's2', epoch: 2 } });
    const others = [...after.bucket(own)].filter(([tenant]) => tenant !== 't500');
    expect(others.every(([tenant, placements]) => before.get(tenant) === placements)).toBe(true);
  });

  it('spreads tenants evenly over the buckets', () => {
    const counts = new Map<number, number>();
    for (let index = 0; index < 100_000; index += 1) {
      const bucket = bucketOf(`tenant-${index}`);
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    }
    expect(counts.size).toBe(256);
    expect(Math.max(...counts.values())).toBeLessThan(2 * (100_000 / 256));
  });

  it('never changes the bucket of a tenant, by which stored chunks are cut', () => {
    expect(['a', 'acme', 'globex', 'tenant-17'].map(bucketOf)).toMatchInlineSnapshot(`
      [
        237,
        102,
        249,
        30,
      ]
    `);
  });

  it('refuses a table of another size', () => {
    expect(() => new PlacementTable([])).toThrow(TypeError);
    expect(() => EMPTY_PLACEMENTS.bucket(256)).toThrow(RangeError);
  });
});
