import { clusterName, SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { runToEnd, type Steps } from '../steps.ts';
import { differingBuckets } from './placement-table.ts';
import type { RoutingSnapshot, ShardDirectory, TenantPlacements } from './types.ts';

type Content = Pick<RoutingSnapshot, 'shards' | 'placements'>;

/**
 * Looks for a placement onto a shard that does not exist or has no endpoints; says which, or undefined when every
 * placement leads somewhere. `base` is content for which that holds already: tenants in buckets shared with it are
 * looked at only when a shard has been taken away or emptied, so the cost is that of the change.
 */
export const findUnroutable = (base: Content | undefined, content: Content): string | undefined =>
  runToEnd(findUnroutableInSteps(base, content));

/** The same in steps. */
export function* findUnroutableInSteps(base: Content | undefined, content: Content): Steps<string | undefined> {
  const isKnown =
    base !== undefined && !SERVICE_KINDS.some((kind) => losesShards(base.shards[kind], content.shards[kind]));
  const held = isKnown ? base.placements : undefined;
  for (const index of held === undefined ? ALL_BUCKETS : differingBuckets(held, content.placements)) {
    const before = held?.bucket(index);
    for (const [tenant, placements] of content.placements.bucket(index)) {
      // An entry that is the same object in `base` is known to lead somewhere.
      if (before?.get(tenant) === placements) continue;
      const kind = unroutableKind(placements, content.shards);
      if (kind === undefined) continue;
      const cluster = clusterName(kind, placements[kind]?.shard ?? '');
      return `tenant ${tenant} is placed on ${cluster}, which has no endpoints`;
    }
    yield;
  }
  return undefined;
}

const ALL_BUCKETS = Array.from({ length: LIMITS.placementChunksCount }, (_, index) => index);

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
