import { HEADER } from '#domain/headers.ts';
import { type JsonObject, setHeader, typed } from '../json.ts';
import { FILTERS, SAMPLED_HEADER, STATIC_CLUSTERS } from '../names.ts';
import { sampledOr } from '../request-ids.ts';

/** The service by which a collector knows the spans of Envoy. */
const SERVICE_NAME = 'gateway-edge';

/**
 * Envoy's span of each request. It is there whether or not anybody records it, because ids come of it; the cluster of
 * the collector has no endpoint where there is none, and spans then cost next to nothing. What a trace is recorded by is
 * decided where it begins: by the client, in the flag of its `traceparent`, else here (`sampling`).
 */
export const tracing = (): JsonObject => ({
  // Only what is marked. That Envoy decides at all, and does not record everything, takes the request id's consent.
  random_sampling: { value: 0 },
  client_sampling: { value: 100 },
  overall_sampling: { value: 100 },
  // The edge's span is the parent of the node's: the headers that say so are written before a shard is tried.
  spawn_upstream_span: false,
  // A filter does it, without an empty `tracestate`.
  no_context_propagation: true,
  // The route and not the path: a path has ids in it, of which there is no end.
  operation: '%REQ(:METHOD)% %ROUTE_NAME%',
  custom_tags: customTags(),
  provider: {
    name: 'envoy.tracers.opentelemetry',
    typed_config: typed('envoy.config.trace.v3.OpenTelemetryConfig', {
      service_name: SERVICE_NAME,
      grpc_service: { envoy_grpc: { cluster_name: STATIC_CLUSTERS.otlp }, timeout: '0.25s' },
    }),
  },
});

/** What a span says besides what Envoy says of any request: names, never a token, an address of mail, or a query. */
const customTags = (): JsonObject[] => [
  // In the place of Envoy's own, which has the query: queries may hold one-time secrets.
  { tag: 'http.url', value: '%REQ(:SCHEME)%://%REQ(:AUTHORITY)%%PATH(NQ:ORIG_OR_PATH)%' },
  { tag: 'gateway.correlation_id', value: `%REQ(${HEADER.correlationId.toUpperCase()})%` },
  ...['decision_id', 'outcome', 'reason', 'tenant_id', 'revision'].map((key) => ({
    tag: `gateway.${key}`,
    metadata: { kind: { request: {} }, metadata_key: { key: FILTERS.extAuthz, path: [{ key }] } },
  })),
];

/** Characters in which a drawn number is compared: 16^4 steps. */
const DIGITS = 4;

/**
 * Early header mutations that mark a request which is to be recorded: by its client's trace, or drawn where there is none.
 * Envoy's tracer would forget a client's wish where the connection manager decides otherwise, so both decide by the mark.
 * @param percent 0 to 100, in whole numbers
 */
export const sampling = (percent = 100): JsonObject[] => {
  const draw = 'x-gateway-draw';
  const drawn = `request.headers['${draw}']`;
  return [
    { remove: SAMPLED_HEADER },
    { append: setHeader(draw, '%UNIQUE_ID%') },
    { append: setHeader(SAMPLED_HEADER, `%CEL(${sampledOr(`${drawn} < '${bound(percent)}'`)} ? ${drawn} : '')%`) },
    { remove: draw },
  ];
};

/** The first text that no id of the recorded share reaches. Ids are UUIDs: their first digits are random, lower case hex. */
function bound(percent: number): string {
  const steps = 16 ** DIGITS;
  const share = Math.round((steps * percent) / 100);
  return share >= steps ? 'g' : share.toString(16).padStart(DIGITS, '0');
}
