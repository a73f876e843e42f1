import type { ServiceKind } from '../ids.ts';
import type { PlacementTable } from './placement-table.ts';

/** One address of a shard. An IP address is served by EDS, a DNS name by STRICT_DNS. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** Relative weight, 1 to `endpointWeightMax`. */
  readonly weight: number;
}

export type ShardProtocol = 'http1' | 'h2';

/** A group of equal endpoints of one service kind: one Envoy cluster. */
export interface Shard {
  readonly endpoints: readonly Endpoint[];
  readonly protocol: ShardProtocol;
  /** Active HTTP health check, where the shard asks for one. */
  readonly health?: { readonly path: string };
}

/** Shards of one kind by name. The same object as long as nothing in it changes: compare by identity first. */
export type ShardDirectory = ReadonlyMap<string, Shard>;

/** Where one tenant is placed for one kind, and the revision that placed it there (`x-placement-epoch`). */
export interface Placement {
  readonly shard: string;
  readonly epoch: number;
}

/** The placements of one tenant; a kind it is not placed for is absent. */
export type TenantPlacements = Readonly<Partial<Record<ServiceKind, Placement>>>;

export type KindRevisions = Readonly<Record<ServiceKind, number>>;

/** Who made a revision, when and why. */
export interface RevisionNote {
  readonly at: string;
  readonly by: string;
  readonly note: string;
}

/** One routing revision, complete and immutable. Successive ones share all that did not change. */
export interface RoutingSnapshot extends RevisionNote {
  readonly revision: number;
  readonly parent: number;
  /** SHA-256 of the manifest: equal contents have equal names. */
  readonly manifest: string;
  /** For each kind the newest revision that changed its shards or placements. */
  readonly kindRevisions: KindRevisions;
  readonly shards: Readonly<Record<ServiceKind, ShardDirectory>>;
  readonly placements: PlacementTable;
}

/** One tenant's part of a small change: a shard name places it, null unplaces it, an absent kind stays. */
export type PlacementChange = { readonly tenant: string } & Readonly<Partial<Record<ServiceKind, string | null>>>;
