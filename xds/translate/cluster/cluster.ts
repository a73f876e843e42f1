import { LIMITS } from '#domain/limits.ts';
import { parseAddress } from '#domain/routing/address.ts';
import { BREAKER_DEFAULTS } from '#domain/routing/shard-settings.ts';
import type { Shard } from '#domain/routing/types.ts';
import { type JsonObject, overAds, seconds, typed } from '../json.ts';
import { loadAssignment } from './endpoint.ts';
import { healthChecks, outlierDetection } from './health.ts';
import { SHARD_TLS_DEFAULTS, type ShardTlsOptions, upstreamTls } from './tls.ts';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Whether Envoy gets the endpoints by EDS: all are IP addresses. With one name among them it resolves them all itself. */
export const usesEds = (shard: Pick<Shard, 'endpoints'>): boolean =>
  shard.endpoints.every(({ address }) => parseAddress(address)?.form === 'ip');

/**
 * The cluster of a shard. Its name never changes, because a renamed cluster is an outage. Load goes to the endpoint
 * with fewer requests; one that fails is ejected for a while, by what it answers (outlier detection) and, where the
 * shard has a health check, by asking it.
 */
export const shardCluster = (name: string, shard: Shard, tls: ShardTlsOptions = SHARD_TLS_DEFAULTS): JsonObject => ({
  name,
  ...(usesEds(shard) ? overEds() : byName(name, shard)),
  // Envoy's own is 1 MiB, which every client that takes no answer would cost, and more.
  per_connection_buffer_limit_bytes: LIMITS.connectionBufferMaxBytes,
  connect_timeout: seconds(shard.connectTimeoutMs ?? LIMITS.upstreamConnectTimeoutMs),
  lb_policy: 'LEAST_REQUEST',
  ...(shard.slowStartMs === undefined
    ? {}
    : { least_request_lb_config: { slow_start_config: { slow_start_window: seconds(shard.slowStartMs) } } }),
  // Never an endpoint that is known to be dead: without a healthy one requests fail at once, and say so.
  common_lb_config: { healthy_panic_threshold: { value: 0 } },
  circuit_breakers: { thresholds: [breaker(shard)] },
  ...outlierDetection(shard.outlierDetection),
  ...healthChecks(name, shard),
  typed_extension_protocol_options: { [HTTP_OPTIONS]: typed(HTTP_OPTIONS, protocol(shard)) },
  ...upstreamTls(name, shard, tls),
});

const overEds = (): JsonObject => ({
  type: 'EDS',
  eds_cluster_config: { eds_config: overAds() },
  // Otherwise an endpoint that was taken out of the document is served for as long as it answers health checks.
  ignore_health_on_host_removal: true,
});

/**
 * A name may have many addresses; all of them are endpoints. It is resolved again every 5 s, Envoy's default, whatever
 * its TTL: Docker's resolver says 600 s of names whose tasks change at any time. While the resolver does not answer the
 * addresses stay.
 */
const byName = (name: string, shard: Shard): JsonObject => ({
  type: 'STRICT_DNS',
  // Otherwise a name with addresses of both families would have its IPv6 ones alone.
  dns_lookup_family: 'V4_PREFERRED',
  load_assignment: loadAssignment(name, shard),
});

/**
 * Without a number of its own, retries have a budget that grows with the load; below 100 at once it never bites, or one
 * dead endpoint would use it up. Envoy ignores a number beside a budget.
 */
function breaker({ circuitBreakers }: Pick<Shard, 'circuitBreakers'>): JsonObject {
  const { maxConnections, maxPendingRequests, maxRequests, maxRetries } = { ...BREAKER_DEFAULTS, ...circuitBreakers };
  return {
    max_connections: maxConnections,
    max_pending_requests: maxPendingRequests,
    max_requests: maxRequests,
    ...(maxRetries === undefined
      ? { retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 100 } }
      : { max_retries: maxRetries }),
  };
}

/**
 * An idle HTTP/1.1 connection is closed before the server does it (the quickest common default is Node's 5 s): a
 * request sent in that very moment fails and may not be repeated. HTTP/2 says goodbye in time.
 */
const protocol = (shard: Pick<Shard, 'protocol'>): JsonObject =>
  shard.protocol === 'h2'
    ? {
        explicit_http_config: {
          http2_protocol_options: {
            connection_keepalive: { interval: '30s', timeout: '5s' },
            // An answer that its client does not take holds its window, and a part of that of the connection (Envoy's own: 16
            // and 24 MiB, so that two of them stop all others). Here all streams together cannot use the connection's up.
            max_concurrent_streams: LIMITS.shardStreamsMaxCount,
            initial_stream_window_size: LIMITS.shardStreamWindowBytes,
            initial_connection_window_size: 2 * LIMITS.shardStreamsMaxCount * LIMITS.shardStreamWindowBytes,
          },
        },
      }
    : {
        explicit_http_config: { http_protocol_options: {} },
        common_http_protocol_options: { idle_timeout: seconds(LIMITS.shardIdleConnectionMs) },
      };
