import { HEADER } from '#domain/headers.ts';
import { extension, type JsonObject, typed } from '../../json.ts';

const FILTER = 'envoy.filters.http.cors';

/** All methods that any endpoint has; which one has which is what the decision is for. */
const METHODS = 'GET,POST,PUT,PATCH,DELETE';

/** What scripts may send besides the headers that every page may: ours (design section 5.4), and those of gRPC-Web. */
const REQUEST_HEADERS = [
  ...[HEADER.authorization, 'content-type', 'if-match', HEADER.idempotencyKey, HEADER.commandId],
  ...[HEADER.tenantId, HEADER.runnerShard, HEADER.correlationId, HEADER.traceparent, HEADER.tracestate],
  ...['grpc-timeout', 'x-grpc-web', 'x-user-agent'],
];

/** What scripts may read besides the few headers that every page may. */
const RESPONSE_HEADERS = [
  ...[HEADER.correlationId, HEADER.requestId, HEADER.traceparent, HEADER.decisionId, HEADER.routingRevision],
  ...['ratelimit', 'ratelimit-policy', 'retry-after', 'etag', 'www-authenticate'],
  ...['grpc-status', 'grpc-message', 'grpc-status-details-bin', HEADER.gatewayError],
];

/** How long a browser may keep the answer to a preflight; longer than two hours none does. */
const PREFLIGHT_SECONDS = 7_200;

/**
 * CORS (fetch.spec.whatwg.org, 3.2) for the configured origins. Without any there is no filter, and no header of CORS.
 * The second filter keeps caches from giving one origin's answer to another: Envoy does not say `vary` by itself.
 */
export const corsFilters = (origins: readonly string[]): JsonObject[] =>
  origins.length === 0
    ? []
    : [
        extension('gateway.vary_origin', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
          mutations: {
            response_mutations: [
              { append: { header: { key: 'vary', value: 'origin' }, append_action: 'APPEND_IF_EXISTS_OR_ADD' } },
            ],
          },
        }),
        extension(FILTER, 'envoy.extensions.filters.http.cors.v3.Cors'),
      ];

/**
 * The policy of the filter above, as per-filter configuration of the virtual host: Envoy takes it from nowhere else. It
 * stands once. No credentials: tokens are sent by hand, and no cookie means anything here. A preflight of another origin
 * goes on to the decision, which knows no such method.
 */
export const corsPolicy = (origins: readonly string[]): JsonObject =>
  origins.length === 0
    ? {}
    : {
        [FILTER]: typed('envoy.extensions.filters.http.cors.v3.CorsPolicy', {
          allow_origin_string_match: origins.map((exact) => ({ exact })),
          allow_methods: METHODS,
          allow_headers: REQUEST_HEADERS.join(','),
          expose_headers: RESPONSE_HEADERS.join(','),
          max_age: String(PREFLIGHT_SECONDS),
          allow_credentials: false,
        }),
      };
