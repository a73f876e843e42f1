import { SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { inSlices, type Steps } from '../steps.ts';
import type { Placement, PlacementChange, TenantPlacements } from './types.ts';

/** The placements of about 1/256 of the tenants: what one stored chunk holds. */
export type PlacementBucket = ReadonlyMap<string, TenantPlacements>;

/** The shard names a tenant should have; an absent kind means not placed. */
export type WantedPlacements = Readonly<Partial<Record<ServiceKind, string>>>;

/** One tenant whose placements differ between two tables; undefined = not placed at all. */
export interface PlacementDifference {
  readonly tenant: string;
  readonly before: TenantPlacements | undefined;
  readonly after: TenantPlacements | undefined;
}

const BUCKETS_COUNT = LIMITS.placementChunksCount;
const EMPTY_BUCKET: PlacementBucket = new Map();

/**
 * The bucket, 0 to 255, of a tenant: 32-bit FNV-1a of its id (ASCII by the grammar of ids) folded to eight bits.
 * Stored chunks are cut by it, so it must never change: a changed one makes every stored revision unreadable.
 */
export function bucketOf(tenant: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < tenant.length; index += 1) {
    hash = Math.imul(hash ^ tenant.charCodeAt(index), 0x01000193);
  }
  return (hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & (BUCKETS_COUNT - 1);
}

/**
 * Where every tenant is placed, immutable. A changed table is a new one that shares with the old one, by identity,
 * each bucket and each tenant entry in which nothing changed: one move among 100,000 tenants copies one of 256 buckets.
 */
export class PlacementTable {
  readonly #buckets: readonly PlacementBucket[];
  /** Number of tenants with at least one placement. */
  readonly size: number;

  /** For this module; others begin with `EMPTY_PLACEMENTS` or `placementTableOf`. `buckets` are never changed again. */
  constructor(buckets: readonly PlacementBucket[]) {
    if (buckets.length !== BUCKETS_COUNT) throw new TypeError(`a placement table has ${BUCKETS_COUNT} buckets`);
    this.#buckets = buckets;
    this.size = buckets.reduce((sum, bucket) => sum + bucket.size, 0);
  }

  /** The placements of a tenant, or undefined when it is placed for no kind. */
  get(tenant: string): TenantPlacements | undefined {
    return this.bucket(bucketOf(tenant)).get(tenant);
  }

  /** The bucket at `index` (0 to 255); the same object in two tables means equal contents. */
  bucket(index: number): PlacementBucket {
    const bucket = this.#buckets[index];
    if (bucket === undefined) throw new RangeError(`no placement bucket ${index}`);
    return bucket;
  }

  /** All tenants with their placements, bucket by bucket. */
  *entries(): IterableIterator<readonly [string, TenantPlacements]> {
    for (const bucket of this.#buckets) yield* bucket;
  }

  /**
   * The table after `changes`, in their order. A kind whose shard really changes gets `revision` as its epoch;
   * this table itself when nothing changes.
   */
  with(changes: Iterable<PlacementChange>, revision: number): PlacementTable {
    const draft = new Draft(this);
    for (const change of changes) {
      const wanted = wantedAfter(draft.get(change.tenant), change);
      draft.set(change.tenant, place(this.get(change.tenant), wanted, revision));
    }
    return draft.finish();
  }

  /**
   * The table in which exactly `wanted` is placed. What is placed there already keeps its epoch and its object,
   * everything else gets `revision`; this table itself when nothing changes. Nobody may change `wanted` meanwhile.
   */
  *withAllInSteps(wanted: ReadonlyMap<string, WantedPlacements>, revision: number): Steps<PlacementTable> {
    const fresh = this.#buckets.map(() => new Map<string, TenantPlacements>());
    for (const slice of inSlices(wanted, LIMITS.routingSliceMaxCount)) {
      for (const [tenant, shards] of slice) {
        const index = bucketOf(tenant);
        const placements = place(this.bucket(index).get(tenant), shards, revision);
        if (placements !== undefined) fresh[index]?.set(tenant, placements);
      }
      yield;
    }
    const changed = new Map<number, PlacementBucket>();
    for (const [index, bucket] of fresh.entries()) {
      if (!holdsTheSame(this.bucket(index), bucket)) changed.set(index, bucket);
      yield;
    }
    return this.withBuckets(changed);
  }

  /**
   * The table that places as `other` does (a rollback): tenants that move get `revision` as epoch, never the one they
   * had in `other`, because nodes refuse epochs older than the newest they saw. Buckets shared with `other` are skipped.
   */
  *withPlacementsOfInSteps(other: PlacementTable, revision: number): Steps<PlacementTable> {
    const draft = new Draft(this);
    for (const index of differingBuckets(this, other)) {
      for (const { tenant, before, after } of bucketDifferences(this.bucket(index), other.bucket(index))) {
        draft.set(tenant, place(before, shardsOf(after), revision));
      }
      yield;
    }
    return draft.finish();
  }

  /** The table with some buckets replaced whole (as loaded from chunks); this table itself when all are the same. */
  withBuckets(replaced: ReadonlyMap<number, PlacementBucket>): PlacementTable {
    const buckets = this.#buckets.map((bucket, index) => replaced.get(index) ?? bucket);
    return buckets.every((bucket, index) => bucket === this.#buckets[index]) ? this : new PlacementTable(buckets);
  }
}

/** The table without tenants. */
export const EMPTY_PLACEMENTS = new PlacementTable(Array.from({ length: BUCKETS_COUNT }, () => EMPTY_BUCKET));

/** A table of given entries, epochs included; of two entries of one tenant the later counts. */
export function placementTableOf(entries: Iterable<readonly [string, TenantPlacements]>): PlacementTable {
  const draft = new Draft(EMPTY_PLACEMENTS);
  for (const [tenant, placements] of entries) draft.set(tenant, isEmpty(placements) ? undefined : placements);
  return draft.finish();
}

/** The buckets that are not shared by two tables, in order. */
export function differingBuckets(before: PlacementTable, after: PlacementTable): readonly number[] {
  if (before === after) return [];
  const indexes: number[] = [];
  for (let index = 0; index < BUCKETS_COUNT; index += 1) {
    if (before.bucket(index) !== after.bucket(index)) indexes.push(index);
  }
  return indexes;
}

/** The tenants whose placements differ (shard or epoch). Shared buckets are not looked at: the cost is O(changes). */
export function* differences(before: PlacementTable, after: PlacementTable): IterableIterator<PlacementDifference> {
  for (const index of differingBuckets(before, after)) {
    yield* bucketDifferences(before.bucket(index), after.bucket(index));
  }
}

/** The same for one bucket of each, which is about what one step of long work takes. */
export function* bucketDifferences(
  before: PlacementBucket,
  after: PlacementBucket,
): IterableIterator<PlacementDifference> {
  for (const [tenant, placements] of after) {
    const previous = before.get(tenant);
    if (!equalPlacements(previous, placements)) yield { tenant, before: previous, after: placements };
  }
  for (const [tenant, placements] of before) {
    if (!after.has(tenant)) yield { tenant, before: placements, after: undefined };
  }
}

/** Whether two buckets have the same entries, by identity. */
const holdsTheSame = (left: PlacementBucket, right: PlacementBucket): boolean =>
  left.size === right.size && right.entries().every(([tenant, placements]) => left.get(tenant) === placements);

/** The shard names of one tenant without epochs. */
export function shardsOf(placements: TenantPlacements | undefined): WantedPlacements {
  const shards: Partial<Record<ServiceKind, string>> = {};
  for (const kind of SERVICE_KINDS) {
    const placement = placements?.[kind];
    if (placement !== undefined) shards[kind] = placement.shard;
  }
  return shards;
}

interface TouchedBucket {
  readonly entries: Map<string, TenantPlacements>;
  /** The tenants that were written to: no other can differ. */
  readonly written: Set<string>;
}

/** A table under construction: copies a bucket when it is first written to. */
class Draft {
  readonly #base: PlacementTable;
  readonly #touched = new Map<number, TouchedBucket>();

  constructor(base: PlacementTable) {
    this.#base = base;
  }

  get(tenant: string): TenantPlacements | undefined {
    const index = bucketOf(tenant);
    return (this.#touched.get(index)?.entries ?? this.#base.bucket(index)).get(tenant);
  }

  set(tenant: string, placements: TenantPlacements | undefined): void {
    const index = bucketOf(tenant);
    const copy = this.#touched.get(index);
    const base = this.#base.bucket(index);
    if ((copy?.entries ?? base).get(tenant) === placements) return;
    const bucket = copy ?? { entries: new Map(base), written: new Set() };
    if (copy === undefined) this.#touched.set(index, bucket);
    bucket.written.add(tenant);
    if (placements === undefined) bucket.entries.delete(tenant);
    else bucket.entries.set(tenant, placements);
  }

  /** Buckets that came back to what they were are given up for the shared ones. */
  finish(): PlacementTable {
    const changed = new Map<number, PlacementBucket>();
    for (const [index, { entries, written }] of this.#touched) {
      const base = this.#base.bucket(index);
      const differs = (tenant: string) => !equalPlacements(base.get(tenant), entries.get(tenant));
      if (written.values().some(differs)) changed.set(index, entries);
    }
    return this.#base.withBuckets(changed);
  }
}

/** The entry of a tenant that should be at `wanted`: the old object when it is there already, undefined when nowhere. */
function place(
  before: TenantPlacements | undefined,
  wanted: WantedPlacements,
  revision: number,
): TenantPlacements | undefined {
  const placements: Partial<Record<ServiceKind, Placement>> = {};
  let changed = false;
  for (const kind of SERVICE_KINDS) {
    const shard = wanted[kind];
    const held = before?.[kind];
    if (held?.shard !== shard) changed = true;
    if (shard !== undefined) placements[kind] = held?.shard === shard ? held : { shard, epoch: revision };
  }
  if (!changed) return before;
  return isEmpty(placements) ? undefined : placements;
}

function wantedAfter(before: TenantPlacements | undefined, change: PlacementChange): WantedPlacements {
  const wanted: Partial<Record<ServiceKind, string>> = {};
  for (const kind of SERVICE_KINDS) {
    const shard = change[kind] === undefined ? before?.[kind]?.shard : change[kind];
    if (shard !== undefined && shard !== null) wanted[kind] = shard;
  }
  return wanted;
}

const isEmpty = (placements: TenantPlacements): boolean =>
  SERVICE_KINDS.every((kind) => placements[kind] === undefined);

function equalPlacements(left: TenantPlacements | undefined, right: TenantPlacements | undefined): boolean {
  if (left === right) return true;
  return SERVICE_KINDS.every(
    (kind) => left?.[kind]?.shard === right?.[kind]?.shard && left?.[kind]?.epoch === right?.[kind]?.epoch,
  );
}
