import { LIMITS } from '#domain/limits.ts';
import { parseAddress } from '#domain/routing/address.ts';
import type { Shard } from '#domain/routing/types.ts';
import { loadAssignment } from './endpoint.ts';
import { type JsonObject, overAds, seconds, typed } from './json.ts';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Whether Envoy gets the endpoints by EDS: all are IP addresses. With one name among them it resolves them all itself. */
export const usesEds = (shard: Pick<Shard, 'endpoints'>): boolean =>
  shard.endpoints.every(({ address }) => parseAddress(address)?.form === 'ip');

/**
 * The cluster of a shard. Its name never changes, because a renamed cluster is an outage. Load goes to the endpoint
 * with fewer requests; one that fails is ejected for a while, by what it answers (outlier detection) and, where the
 * shard has a health path, by asking it. Without a healthy endpoint requests fail at once (panic threshold 0) rather
 * than being sent to ones known to be dead.
 */
export const shardCluster = (name: string, shard: Shard): JsonObject => ({
  name,
  ...(usesEds(shard)
    ? { type: 'EDS', eds_cluster_config: { eds_config: overAds() } }
    : // The names may have many addresses each; all of them are endpoints.
      { type: 'STRICT_DNS', respect_dns_ttl: true, load_assignment: loadAssignment(name, shard) }),
  connect_timeout: seconds(LIMITS.upstreamConnectTimeoutMs),
  lb_policy: 'LEAST_REQUEST',
  common_lb_config: { healthy_panic_threshold: { value: 0 } },
  circuit_breakers: { thresholds: [breaker()] },
  outlier_detection: {
    consecutive_5xx: 5,
    consecutive_gateway_failure: 3,
    enforcing_consecutive_gateway_failure: 100,
    interval: '1s',
    base_ejection_time: '5s',
    max_ejection_percent: 50,
  },
  ...(shard.health === undefined ? {} : { health_checks: [httpHealthCheck(shard)] }),
  typed_extension_protocol_options: { [HTTP_OPTIONS]: typed(HTTP_OPTIONS, { explicit_http_config: protocol(shard) }) },
});

/**
 * Room for the requests of a tenant that is held during a move and released together. A retry budget replaces a fixed
 * number of retries; below 100 at once it never bites, or one dead endpoint would use it up.
 */
const breaker = (): JsonObject => ({
  max_connections: LIMITS.shardConnectionsMaxCount,
  max_pending_requests: LIMITS.shardRequestsMaxCount,
  max_requests: LIMITS.shardRequestsMaxCount,
  retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 100 },
});

const protocol = (shard: Pick<Shard, 'protocol'>): JsonObject =>
  shard.protocol === 'h2'
    ? { http2_protocol_options: { connection_keepalive: { interval: '30s', timeout: '5s' } } }
    : { http_protocol_options: {} };

const httpHealthCheck = ({ health, protocol }: Shard): JsonObject => ({
  timeout: '0.5s',
  interval: '1s',
  no_traffic_interval: '1s',
  unhealthy_threshold: 2,
  healthy_threshold: 1,
  http_health_check: { path: health?.path ?? '/', ...(protocol === 'h2' ? { codec_client_type: 'HTTP2' } : {}) },
});
