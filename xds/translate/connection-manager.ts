import type { EndpointRow } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import { accessLog } from './access-log.ts';
import { earlyHeaders } from './early-headers.ts';
import { httpFilters } from './filters/order.ts';
import type { TranscodedServices } from './filters/transcoder.ts';
import { extension, type JsonObject, overAds, typed } from './json.ts';
import { localReplies } from './local-replies.ts';
import { NAMES, STATIC_CLUSTERS } from './names.ts';

/** What the connection manager is made of; the same for every listener. */
export interface EdgeOptions {
  readonly rows: readonly EndpointRow[];
  readonly services: TranscodedServices;
  /** The access log's file, in Envoy's file system. */
  readonly accessLogPath: string;
}

/** HTTP at the edge: protocols, hardening, ids, filters. The routes come over ADS, so that listeners never change. */
export const connectionManager = (options: EdgeOptions): JsonObject =>
  extension(
    'envoy.filters.network.http_connection_manager',
    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      stat_prefix: 'edge',
      server_name: 'gateway',
      ...protocols(),
      ...addresses(),
      ...paths(),
      ...timeouts(),
      ...ids(),
      early_header_mutation_extensions: [earlyHeaders()],
      access_log: [accessLog(options.accessLogPath)],
      local_reply_config: localReplies(),
      rds: { config_source: overAds(), route_config_name: NAMES.routes },
      http_filters: httpFilters(options.rows, options.services),
    },
  );

const protocols = (): JsonObject => ({
  // HTTP/1.1, HTTP/2 and gRPC, by what the client begins with or by ALPN.
  codec_type: 'AUTO',
  http_protocol_options: {},
  http2_protocol_options: {
    max_concurrent_streams: 100,
    // Field extraction holds one whole message, and the window of a stream bounds what it may hold.
    initial_stream_window_size: LIMITS.requestBodyMaxBytes + 65_536,
    initial_connection_window_size: 2 * LIMITS.requestBodyMaxBytes,
  },
  common_http_protocol_options: {
    idle_timeout: '900s',
    max_stream_duration: '3600s',
    max_headers_count: LIMITS.requestHeadersMaxCount,
    // `x_tenant_id` and `x-tenant-id` are one name to many frameworks behind us.
    headers_with_underscores_action: 'REJECT_REQUEST',
  },
  max_request_headers_kb: LIMITS.requestHeadersMaxKilobytes,
  // One bad request ends its stream, not the connection with everybody else's.
  stream_error_on_invalid_http_message: true,
});

/** The peer is the client: nobody is trusted to say for whom a request is made, and no address counts as internal. */
const addresses = (): JsonObject => ({
  use_remote_address: true,
  xff_num_trusted_hops: 0,
  internal_address_config: { cidr_ranges: [{ address_prefix: '255.255.255.255', prefix_len: 32 }] },
});

/** One spelling of each path before anybody decides by it. */
const paths = (): JsonObject => ({
  normalize_path: true,
  merge_slashes: true,
  path_with_escaped_slashes_action: 'REJECT_REQUEST',
  strip_matching_host_port: true,
});

const timeouts = (): JsonObject => ({
  request_headers_timeout: '10s',
  request_timeout: '60s',
  stream_idle_timeout: '300s',
  delayed_close_timeout: '1s',
  drain_timeout: '5s',
});

/** Every request gets an id of ours and a trace; ids exist only where a tracer is configured. */
const ids = (): JsonObject => ({
  generate_request_id: true,
  preserve_external_request_id: false,
  // True would copy a client's unchecked id onto early replies.
  always_set_request_id_in_response: false,
  request_id_extension: {
    typed_config: typed('envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig', {
      // The id stays random in all its bits.
      pack_trace_reason: false,
      use_request_id_for_trace_sampling: false,
    }),
  },
  tracing: {
    random_sampling: { value: 100 },
    spawn_upstream_span: false,
    // A filter does it, without an empty `tracestate`.
    no_context_propagation: true,
    provider: {
      name: 'envoy.tracers.opentelemetry',
      typed_config: typed('envoy.config.trace.v3.OpenTelemetryConfig', {
        service_name: 'gateway-edge',
        // Drops spans cheaply as long as the bootstrap gives the cluster no endpoint.
        grpc_service: { envoy_grpc: { cluster_name: STATIC_CLUSTERS.otlp }, timeout: '0.25s' },
      }),
    },
  },
});
