import { clusterName, SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { differingBuckets, type PlacementTable } from './placement-table.ts';
import type { RoutingSnapshot, ShardDirectory, TenantPlacements } from './types.ts';

type Content = Pick<RoutingSnapshot, 'shards' | 'placements'>;

/**
 * Looks for a placement onto a shard that does not exist or has no endpoints; says which, or undefined when every
 * placement leads somewhere. `base` is content for which that holds already: tenants in buckets shared with it are
 * looked at only when a shard has been taken away or emptied, so the cost is that of the change.
 */
export function findUnroutable(base: Content | undefined, content: Content): string | undefined {
  const all = base === undefined || SERVICE_KINDS.some((kind) => losesShards(base.shards[kind], content.shards[kind]));
  for (const [tenant, placements] of all ? content.placements.entries() : entriesNotIn(base.placements, content)) {
    const kind = unroutableKind(placements, content.shards);
    if (kind !== undefined) {
      return `tenant ${tenant} is placed on ${clusterName(kind, placements[kind]?.shard ?? '')}, which has no endpoints`;
    }
  }
  return undefined;
}

/** An entry that is the same object in `base` is known to lead somewhere. */
function* entriesNotIn(base: PlacementTable, { placements }: Content): IterableIterator<[string, TenantPlacements]> {
  for (const index of differingBuckets(base, placements)) {
    const before = base.bucket(index);
    const changed: [string, TenantPlacements][] = [];
    placements.bucket(index).forEach((entry, tenant) => {
      if (before.get(tenant) !== entry) changed.push([tenant, entry]);
    });
    yield* changed;
  }
}

function unroutableKind(
  placements: TenantPlacements,
  shards: Readonly<Record<ServiceKind, ShardDirectory>>,
): ServiceKind | undefined {
  return SERVICE_KINDS.find((kind) => {
    const placement = placements[kind];
    return placement !== undefined && !isServed(shards[kind], placement.shard);
  });
}

const isServed = (shards: ShardDirectory, name: string): boolean => (shards.get(name)?.endpoints.length ?? 0) > 0;

function losesShards(before: ShardDirectory, after: ShardDirectory): boolean {
  if (before === after) return false;
  return [...before].some(([name, shard]) => shard.endpoints.length > 0 && !isServed(after, name));
}
