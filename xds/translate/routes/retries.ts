import { extension, type JsonObject } from '../json.ts';

/**
 * How often Envoy chooses again when its choice for a retry is an endpoint that has just failed. It picks the less busy of
 * two at random, and a dead endpoint is never busy: of two endpoints three choices in four are the dead one, so Envoy's
 * usual few would send one retry in three there: with 3 retries one check in forty would fail, as the load test has shown.
 */
const RETRY_CHOICES_MAX_COUNT = 20;

/** Members of a retry policy by which a request that failed at one endpoint is tried at another one where there is one. */
export const atAnotherHost = (): JsonObject => ({
  retry_host_predicate: [
    extension(
      'envoy.retry_host_predicates.previous_hosts',
      'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
    ),
  ],
  host_selection_retry_max_attempts: RETRY_CHOICES_MAX_COUNT,
});
