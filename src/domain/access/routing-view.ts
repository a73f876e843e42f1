import type { ServiceKind } from '../ids.ts';

/** The routing revision to place by, in the three ways a stamped one can be there or not. */
export type RoutingView =
  | { readonly state: 'held'; readonly placement: PlacementLookup; readonly shard: ShardLookup }
  /** The stamped revision is newer than all that are here: worth a short wait. */
  | { readonly state: 'ahead' }
  | { readonly state: 'absent' };

/** The cluster and the epoch of a tenant for a kind, or undefined when it is not placed. */
type PlacementLookup = (tenantId: string, kind: ServiceKind) => Place | undefined;

/** The cluster of a shard by its name, or undefined when the revision has no such shard of that kind. */
type ShardLookup = (kind: ServiceKind, shard: string) => Place | undefined;

/** Where a request goes. */
export interface Place {
  readonly cluster: string;
  /** The revision that placed the tenant there; undefined where no placement led there, but the name of the shard. */
  readonly epoch: number | undefined;
}
