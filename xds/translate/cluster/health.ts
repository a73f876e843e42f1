import { HEALTH_DEFAULTS, OUTLIER_DEFAULTS } from '#domain/routing/shard-settings.ts';
import type { Shard } from '#domain/routing/types.ts';
import { type JsonObject, seconds } from '../json.ts';

/** Healthy endpoints that nobody uses yet are asked this many times more seldom. */
const IDLE_FACTOR = 5;
/** Ejections of an endpoint that fails again and again grow no longer than this, or than the first one if it is longer. */
const EJECTION_MAX_MS = 30_000;

/** How endpoints are judged by what they answer: not at all when Envoy gets nothing about it. */
export function outlierDetection(settings: Shard['outlierDetection']): JsonObject {
  if (settings === false) return {};
  const given = { ...OUTLIER_DEFAULTS, ...settings };
  return {
    outlier_detection: {
      consecutive_5xx: given.consecutive5xx,
      consecutive_gateway_failure: given.consecutiveGatewayFailures,
      // Envoy only counts these by default.
      enforcing_consecutive_gateway_failure: 100,
      interval: seconds(given.intervalMs),
      base_ejection_time: seconds(given.baseEjectionMs),
      max_ejection_time: seconds(Math.max(EJECTION_MAX_MS, given.baseEjectionMs)),
      max_ejection_percent: given.maxEjectionPercent,
      // On by default in Envoy: an endpoint is judged by its own answers, not by how much better others are.
      enforcing_success_rate: 0,
    },
  };
}

/** How the endpoints of a shard are asked; nothing where it has no health check. */
export function healthChecks(name: string, { health, protocol }: Pick<Shard, 'health' | 'protocol'>): JsonObject {
  if (health === undefined) return {};
  const { intervalMs, timeoutMs, unhealthyThreshold, healthyThreshold } = { ...HEALTH_DEFAULTS, ...health };
  const authority = hostOf(name);
  return {
    health_checks: [
      {
        timeout: seconds(timeoutMs),
        interval: seconds(intervalMs),
        // Thousands of shards would otherwise be asked in the same moment.
        interval_jitter_percent: 10,
        // Envoy's minute without traffic would keep a shard shut that was not up at its first check.
        no_traffic_interval: seconds(intervalMs),
        no_traffic_healthy_interval: seconds(intervalMs * IDLE_FACTOR),
        unhealthy_threshold: unhealthyThreshold,
        healthy_threshold: healthyThreshold,
        ...(health.grpc === undefined
          ? {
              http_health_check: {
                host: authority,
                path: health.path,
                expected_statuses: [{ start: 200, end: 300 }],
                ...(protocol === 'h2' ? { codec_client_type: 'HTTP2' } : {}),
              },
            }
          : {
              grpc_health_check: {
                ...(health.grpc.service === '' ? {} : { service_name: health.grpc.service }),
                authority,
              },
            }),
      },
    ],
  };
}

/** `projection/s1` as a host name, `s1.projection`: Envoy would send the cluster's name, which strict servers refuse. */
const hostOf = (cluster: string): string => cluster.split('/').reverse().join('.');
