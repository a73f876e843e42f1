import { LIMITS } from '../limits.ts';
import type { CircuitBreakers, HealthNumbers, OutlierDetection, Shard, ShardTls } from './types.ts';

/**
 * The numbers a routing document may give a shard: how they are called there and what they may be. The parser, the
 * canonical form, the contract document and the table of docs/routing.md all follow these lists. A unit stands in each
 * name; all are whole numbers.
 */
export interface NumberSetting<Name extends string> {
  readonly name: Name;
  /** What the document calls it. */
  readonly member: string;
  readonly min: number;
  readonly max: number;
}

export const SHARD_NUMBERS: readonly NumberSetting<'connectTimeoutMs' | 'slowStartMs'>[] = [
  {
    name: 'connectTimeoutMs',
    member: 'connect_timeout_ms',
    min: LIMITS.connectTimeoutMinMs,
    max: LIMITS.connectTimeoutMaxMs,
  },
  { name: 'slowStartMs', member: 'slow_start_ms', min: LIMITS.slowStartMinMs, max: LIMITS.slowStartMaxMs },
];

export const HEALTH_NUMBERS: readonly NumberSetting<keyof HealthNumbers>[] = [
  { name: 'intervalMs', member: 'interval_ms', min: LIMITS.healthIntervalMinMs, max: LIMITS.healthIntervalMaxMs },
  { name: 'timeoutMs', member: 'timeout_ms', min: LIMITS.healthTimeoutMinMs, max: LIMITS.healthTimeoutMaxMs },
  { name: 'unhealthyThreshold', member: 'unhealthy_threshold', min: 1, max: LIMITS.healthThresholdMaxCount },
  { name: 'healthyThreshold', member: 'healthy_threshold', min: 1, max: LIMITS.healthThresholdMaxCount },
];

export const OUTLIER_NUMBERS: readonly NumberSetting<keyof OutlierDetection>[] = [
  {
    name: 'consecutiveGatewayFailures',
    member: 'consecutive_gateway_failures',
    min: 1,
    max: LIMITS.outlierFailuresMaxCount,
  },
  { name: 'consecutive5xx', member: 'consecutive_5xx', min: 1, max: LIMITS.outlierFailuresMaxCount },
  { name: 'intervalMs', member: 'interval_ms', min: LIMITS.outlierIntervalMinMs, max: LIMITS.outlierIntervalMaxMs },
  { name: 'baseEjectionMs', member: 'base_ejection_ms', min: LIMITS.ejectionMinMs, max: LIMITS.ejectionMaxMs },
  { name: 'maxEjectionPercent', member: 'max_ejection_percent', min: 1, max: 100 },
];

export const BREAKER_NUMBERS: readonly NumberSetting<keyof CircuitBreakers>[] = [
  { name: 'maxConnections', member: 'max_connections', min: 1, max: LIMITS.breakerConnectionsMaxCount },
  { name: 'maxPendingRequests', member: 'max_pending_requests', min: 1, max: LIMITS.breakerRequestsMaxCount },
  { name: 'maxRequests', member: 'max_requests', min: 1, max: LIMITS.breakerRequestsMaxCount },
  // 0 is a choice: this shard is never asked twice.
  { name: 'maxRetries', member: 'max_retries', min: 0, max: LIMITS.breakerRetriesMaxCount },
];

type Defaults<Settings> = { readonly [Name in keyof Settings]-?: number };

/** What holds for a shard with a health check where it gives no number. */
export const HEALTH_DEFAULTS: Defaults<HealthNumbers> = {
  intervalMs: 1_000,
  timeoutMs: 500,
  unhealthyThreshold: 2,
  healthyThreshold: 1,
};

/** Measured with one of two endpoints killed under load: it is out within a few requests, and back soon. */
export const OUTLIER_DEFAULTS: Defaults<OutlierDetection> = {
  consecutiveGatewayFailures: 3,
  consecutive5xx: 5,
  intervalMs: 1_000,
  baseEjectionMs: 5_000,
  maxEjectionPercent: 50,
};

/**
 * Room for every request that the gateway may hold for one tenant during a move and release together. There is no
 * default for `maxRetries`: a retry budget holds, which grows with the load.
 */
export const BREAKER_DEFAULTS: Defaults<Omit<CircuitBreakers, 'maxRetries'>> = {
  maxConnections: LIMITS.shardConnectionsMaxCount,
  maxPendingRequests: LIMITS.shardRequestsMaxCount,
  maxRequests: LIMITS.shardRequestsMaxCount,
};

type Members = Readonly<Record<string, unknown>>;

/**
 * A shard as the routing document writes it, members in code unit order: JSON of equal shards has equal bytes. What
 * the document left out stays out, so that a later default reaches it.
 */
export function shardDocument(shard: Shard): Members {
  const { health, outlierDetection, circuitBreakers, tls } = shard;
  return inOrder({
    ...numbers(SHARD_NUMBERS, shard),
    ...(circuitBreakers === undefined ? {} : { circuit_breakers: inOrder(numbers(BREAKER_NUMBERS, circuitBreakers)) }),
    endpoints: shard.endpoints.map(({ address, port, weight }) => ({ address, port, weight })),
    ...(health === undefined
      ? {}
      : {
          health: inOrder({
            ...numbers(HEALTH_NUMBERS, health),
            ...(health.grpc === undefined
              ? { path: health.path }
              : { grpc: health.grpc.service === '' ? true : { service: health.grpc.service } }),
          }),
        }),
    ...(outlierDetection === undefined
      ? {}
      : {
          outlier_detection: outlierDetection === false ? false : inOrder(numbers(OUTLIER_NUMBERS, outlierDetection)),
        }),
    protocol: shard.protocol,
    ...(tls === undefined ? {} : { tls: tlsDocument(tls) }),
  });
}

/** Whether the name of a certificate is a URI; else it is a DNS name. */
export const isUriName = (san: string): boolean => san.includes('://');

const tlsDocument = ({ san, serverName }: ShardTls): true | Members =>
  san === undefined && serverName === undefined
    ? true
    : { ...(san === undefined ? {} : { san }), ...(serverName === undefined ? {} : { server_name: serverName }) };

/** The numbers that are given, under the document's names. */
function numbers<Name extends string>(
  settings: readonly NumberSetting<Name>[],
  values: Readonly<Partial<Record<Name, number>>>,
): Members {
  const given: Record<string, number> = {};
  for (const { name, member } of settings) {
    const value = values[name];
    if (value !== undefined) given[member] = value;
  }
  return given;
}

/** By code units. No member here looks like an array index, which objects would put first. */
const inOrder = (members: Members): Members =>
  Object.fromEntries(Object.entries(members).sort(([left], [right]) => (left < right ? -1 : 1)));
