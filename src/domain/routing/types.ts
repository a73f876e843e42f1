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

/**
 * A group of equal endpoints of one service kind: one Envoy cluster. A setting that the document leaves out is absent
 * here too; what holds then stands in shard-settings.ts and, with the reasons, in docs/routing.md.
 */
export interface Shard {
  readonly endpoints: readonly Endpoint[];
  readonly protocol: ShardProtocol;
  /** Active health check, where the shard asks for one. */
  readonly health?: HealthCheck;
  /** How endpoints are judged by what they answer; `false` switches that off. */
  readonly outlierDetection?: OutlierDetection | false;
  readonly circuitBreakers?: CircuitBreakers;
  /** How long a new endpoint takes to get its whole share of the load. */
  readonly slowStartMs?: number;
  readonly connectTimeoutMs?: number;
  /** TLS to its endpoints; absent: what the gateway does for all such shards. */
  readonly tls?: ShardTls;
}

/**
 * TLS with our certificate shown and the endpoint's checked. Without a member the endpoint's certificate must be that of
 * the shard (`identityOf(nodeRole(kind, shard))`).
 */
export interface ShardTls {
  /** The SAN that the certificate must have: a URI, or a DNS name. */
  readonly san?: string;
  /** Sent as SNI; without a `san` also the DNS name that the certificate must have. */
  readonly serverName?: string;
}

/** Asks each endpoint itself: GET of a path, or grpc.health.v1 (needs `h2`). */
export type HealthCheck = (
  | { readonly path: string; readonly grpc?: never }
  /** Service to ask for; empty for the whole server. */
  | { readonly grpc: { readonly service: string }; readonly path?: never }
) &
  HealthNumbers;

export type HealthNumbers = Readonly<
  Partial<Record<'intervalMs' | 'timeoutMs' | 'unhealthyThreshold' | 'healthyThreshold', number>>
>;

export type OutlierDetection = Readonly<
  Partial<
    Record<
      'consecutiveGatewayFailures' | 'consecutive5xx' | 'intervalMs' | 'baseEjectionMs' | 'maxEjectionPercent',
      number
    >
  >
>;

/** Requests beyond these are refused at once. `maxRetries` replaces the retry budget that holds without it. */
export type CircuitBreakers = Readonly<
  Partial<Record<'maxConnections' | 'maxPendingRequests' | 'maxRequests' | 'maxRetries', number>>
>;

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
