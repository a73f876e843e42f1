import { isServiceKind, SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { inSlices, type Steps } from '../steps.ts';
import { bucketDifferences, differingBuckets, type PlacementDifference } from './placement-table.ts';
import { shareDirectory } from './revision.ts';
import type { RoutingSnapshot, ShardDirectory } from './types.ts';

/** The contents of two revisions that are compared; a whole snapshot or a draft is one. */
export type RoutingContent = Pick<RoutingSnapshot, 'shards' | 'placements'>;

/** The shards of one kind that two revisions do not have alike, names in order. */
interface ShardDifferences {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** In both, with other endpoints, protocol or settings. */
  readonly changed: readonly string[];
}

/** One tenant of one kind on another shard; null = not placed. */
export interface PlacementMove {
  readonly tenant: string;
  readonly kind: ServiceKind;
  readonly before: string | null;
  readonly after: string | null;
}

export interface RoutingDiff {
  readonly shards: Readonly<Record<ServiceKind, ShardDifferences>>;
  readonly totals: {
    readonly shards: number;
    readonly placements: number;
    /** Tenants with at least one of these placements. */
    readonly tenants: number;
  };
  /** One page of the placements that differ, by tenant, then by kind. */
  readonly moves: readonly PlacementMove[];
  /** Where the next page begins; absent on the last one. */
  readonly nextCursor?: string;
}

/** The part of the placements to tell: at most `limit` of them, those behind `cursor`. */
export interface DiffPage {
  readonly limit: number;
  readonly cursor?: string;
}

/**
 * What differs between two revisions. A placement differs when the shard does; the same shard with another epoch (moved
 * away and back between the two) is where it was. Buckets and directories that both share are not looked at, so that
 * the cost follows what was changed, not what there is; of the placements that differ only one page is kept at a time.
 */
export function* diffRoutingInSteps(before: RoutingContent, after: RoutingContent, page: DiffPage): Steps<RoutingDiff> {
  const shards = diffShards(before.shards, after.shards);
  const smallest = new SmallestMoves(page);
  const totals = { placements: 0, tenants: 0 };
  for (const index of differingBuckets(before.placements, after.placements)) {
    for (const difference of bucketDifferences(before.placements.bucket(index), after.placements.bucket(index))) {
      const moves = movesOf(difference);
      totals.placements += moves.length;
      if (moves.length > 0) totals.tenants += 1;
      for (const move of moves) smallest.offer(move);
    }
    yield;
  }
  const count = SERVICE_KINDS.reduce((sum, kind) => sum + shardCount(shards[kind]), 0);
  return { shards, totals: { shards: count, ...totals }, ...smallest.page() };
}

/** Whether a text is the cursor of some page. */
export const isDiffCursor = (cursor: string): boolean => parseCursor(cursor) !== undefined;

/**
 * How many tenants are placed in `after` on shards that `diff` calls changed: their requests go to the shard they went
 * to, which is now another. Looks at every tenant, unless no shard was changed.
 */
export function* tenantsOnChangedShardsInSteps(
  after: RoutingContent,
  diff: Pick<RoutingDiff, 'shards'>,
): Steps<number> {
  const kinds = SERVICE_KINDS.filter((kind) => diff.shards[kind].changed.length > 0);
  if (kinds.length === 0) return 0;
  const changed = kinds.map((kind) => [kind, new Set(diff.shards[kind].changed)] as const);
  let count = 0;
  for (const slice of inSlices(after.placements.entries(), LIMITS.routingSliceMaxCount)) {
    for (const [, placements] of slice) {
      if (changed.some(([kind, names]) => names.has(placements[kind]?.shard ?? ''))) count += 1;
    }
    yield;
  }
  return count;
}

function diffShards(
  before: RoutingContent['shards'],
  after: RoutingContent['shards'],
): Record<ServiceKind, ShardDifferences> {
  const diff = (kind: ServiceKind) => diffDirectories(before[kind], after[kind]);
  return { aggregate: diff('aggregate'), projection: diff('projection'), runner: diff('runner') };
}

function diffDirectories(before: ShardDirectory, after: ShardDirectory): ShardDifferences {
  // Revisions read apart from each other hold equal shards as two objects: made one, identity says what differs.
  const shared = before === after ? after : shareDirectory(before, after);
  if (shared === before) return { added: [], removed: [], changed: [] };
  const names = [...shared.keys()];
  return {
    added: names.filter((name) => !before.has(name)),
    removed: [...before.keys()].filter((name) => !shared.has(name)).sort(),
    changed: names.filter((name) => before.has(name) && before.get(name) !== shared.get(name)),
  };
}

const movesOf = ({ tenant, before, after }: PlacementDifference): readonly PlacementMove[] =>
  SERVICE_KINDS.flatMap((kind) => {
    const from = before?.[kind]?.shard ?? null;
    const to = after?.[kind]?.shard ?? null;
    return from === to ? [] : [{ tenant, kind, before: from, after: to }];
  });

const shardCount = ({ added, removed, changed }: ShardDifferences): number =>
  added.length + removed.length + changed.length;

/**
 * The first moves behind a cursor in the order of their keys, from moves that come in any order. It holds one page and
 * one more, never all.
 */
class SmallestMoves {
  readonly #limit: number;
  readonly #behind: string;
  readonly #kept: { readonly key: string; readonly move: PlacementMove }[] = [];

  constructor({ limit, cursor }: DiffPage) {
    this.#limit = limit;
    this.#behind = cursor === undefined ? '' : (parseCursor(cursor) ?? '');
  }

  offer(move: PlacementMove): void {
    const key = keyOf(move.tenant, SERVICE_KINDS.indexOf(move.kind));
    if (key <= this.#behind) return;
    if (this.#kept.length > this.#limit) {
      if (key >= (this.#kept.at(-1)?.key ?? '')) return;
      this.#kept.pop();
    }
    this.#kept.splice(this.#place(key), 0, { key, move });
  }

  page(): Pick<RoutingDiff, 'moves' | 'nextCursor'> {
    const moves = this.#kept.slice(0, this.#limit).map(({ move }) => move);
    const last = moves.at(-1);
    const more = this.#kept.length > this.#limit && last !== undefined;
    return { moves, ...(more ? { nextCursor: `${last.tenant}.${last.kind}` } : {}) };
  }

  /** Where a key belongs, by bisection. */
  #place(key: string): number {
    let low = 0;
    let high = this.#kept.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#kept[middle]?.key ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A space sorts before everything a tenant id can hold, hence `a` with all its kinds before `a-b`. */
const keyOf = (tenant: string, kindIndex: number): string => `${tenant} ${kindIndex}`;

/** `<tenant>.<kind>` (ids hold no dot) as a key; undefined when it is none. */
function parseCursor(cursor: string): string | undefined {
  const [tenant = '', kind = '', ...rest] = cursor.split('.');
  if (tenant === '' || !isServiceKind(kind) || rest.length > 0) return undefined;
  return keyOf(tenant, SERVICE_KINDS.indexOf(kind));
}
