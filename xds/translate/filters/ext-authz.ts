import { HEADER } from '#domain/headers.ts';
import { LIMITS } from '#domain/limits.ts';
import { extension, type JsonObject, seconds } from '../json.ts';
import { FILTERS, STATIC_CLUSTERS } from '../names.ts';
import { atAnotherHost } from '../routes/retries.ts';

/** All that a decision and its record need of a request. Anything more would be copied into every check. */
const ALLOWED_HEADERS = [
  HEADER.authorization,
  HEADER.tenantId,
  HEADER.correlationId,
  HEADER.requestId,
  HEADER.traceparent,
  HEADER.commandId,
  HEADER.idempotencyKey,
  HEADER.runnerShard,
  'content-type',
  'x-envoy-original-method',
  'x-envoy-original-path',
] as const;

/**
 * The decision. No answer means no: 503, never open. A changed header makes Envoy choose the route again, by which an
 * allowed request gets its cluster.
 */
export const extAuthz = (): JsonObject =>
  extension(FILTERS.extAuthz, 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz', {
    transport_api_version: 'V3',
    grpc_service: {
      envoy_grpc: { cluster_name: STATIC_CLUSTERS.authz },
      timeout: seconds(LIMITS.extAuthzTimeoutMs),
      retry_policy: checkRetries(),
    },
    failure_mode_allow: false,
    status_on_error: { code: 'ServiceUnavailable' },
    clear_route_cache: true,
    validate_mutations: true,
    // Shows a repeated header as two, where the plain form would join them with a comma.
    encode_raw_headers: true,
    allowed_headers: { patterns: ALLOWED_HEADERS.map((exact) => ({ exact, ignore_case: true })) },
    metadata_context_namespaces: [FILTERS.fieldExtraction],
  });

/**
 * A check changes nothing, so one that ends without an answer, or has none in time, is asked again at another replica.
 * Otherwise every check that goes to a killed or hanging replica would fail until health checks have noticed it (measured:
 * 40 requests of 100 a second for a killed one, a quarter of all for three seconds for one that hangs). All attempts
 * together have the time of one. That a slow control plane is not asked ever more is the budget of the cluster `authz`.
 */
const checkRetries = (): JsonObject => ({
  retry_on: 'connect-failure,refused-stream,reset,unavailable',
  num_retries: LIMITS.checkRetriesMaxCount,
  // The largest pause is to Envoy also the longest that one attempt may take.
  retry_back_off: { base_interval: '0.005s', max_interval: seconds(LIMITS.checkTryTimeoutMs) },
  ...atAnotherHost(),
});
