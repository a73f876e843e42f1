import type { RateLimit } from '#domain/access/rate-limit.ts';
import type { EndpointRow } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import { accessLog } from './access-log.ts';
import { earlyHeaders } from './early-headers.ts';
import { httpFilters } from './filters/order.ts';
import type { TranscodedServices } from './filters/transcoder.ts';
import { extension, type JsonObject, overAds, typed } from './json.ts';
import { localReplies } from './local-replies.ts';
import { NAMES } from './names.ts';
import { tracing } from './tracing/tracing.ts';

/** What the connection manager is made of, for every listener. */
export interface EdgeOptions {
  readonly rows: readonly EndpointRow[];
  readonly services: TranscodedServices;
  /** The access log's file, in Envoy's file system. */
  readonly accessLogPath: string;
  /** What each listener of one Envoy takes; undefined: whatever comes. */
  readonly requestRate: RateLimit | undefined;
  /** Origins of pages elsewhere that may use the gateway. */
  readonly corsOrigins?: readonly string[] | undefined;
  /** Of the requests whose client has no trace of its own: how many are recorded; absent: all. */
  readonly traceSamplePercent?: number | undefined;
}

/** What one listener has of its own. */
export interface OwnSettings {
  /** Members of the connection manager, in the place of the common ones. */
  readonly settings?: JsonObject;
  /** Filters before all others: the last to touch a response. */
  readonly firstFilters?: readonly JsonObject[];
}

/** HTTP at the edge: protocols, hardening, ids, filters. The routes come over ADS, so that listeners never change. */
export const connectionManager = (options: EdgeOptions, own: OwnSettings = {}): JsonObject =>
  extension(
    'envoy.filters.network.http_connection_manager',
    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      stat_prefix: 'edge',
      // No name of anybody in `server`: a node's goes with the rest of what it says of itself (filters/response-scrub.ts).
      server_header_transformation: 'PASS_THROUGH',
      ...protocols(),
      ...addresses(),
      ...paths(),
      ...timeouts(),
      ...ids(),
      early_header_mutation_extensions: [earlyHeaders(options.traceSamplePercent)],
      access_log: [accessLog(options.accessLogPath)],
      local_reply_config: localReplies(),
      rds: { config_source: overAds(), route_config_name: NAMES.routes },
      http_filters: [...(own.firstFilters ?? []), ...httpFilters(options.rows, options.services, options)],
      ...own.settings,
    },
  );

const protocols = (): JsonObject => ({
  // HTTP/1.1, HTTP/2 and gRPC, by what the client begins with or by ALPN.
  codec_type: 'AUTO',
  http_protocol_options: {},
  // `max_connection_duration` ends a connection of HTTP/1.1 with an answer that says so, never between two requests.
  http1_safe_max_connection_duration: true,
  http2_protocol_options: {
    max_concurrent_streams: 100,
    ...floods(),
    // Field extraction holds one whole message, and the window of a stream bounds what it may hold.
    initial_stream_window_size: LIMITS.requestBodyMaxBytes + 65_536,
    initial_connection_window_size: 2 * LIMITS.requestBodyMaxBytes,
  },
  common_http_protocol_options: {
    idle_timeout: '900s',
    max_stream_duration: '3600s',
    // Each client comes back now and then, so that it finds new certificates and Envoys; what is under way is finished.
    max_connection_duration: '3600s',
    max_headers_count: LIMITS.requestHeadersMaxCount,
    // `x_tenant_id` and `x-tenant-id` are one name to many frameworks behind us.
    headers_with_underscores_action: 'REJECT_REQUEST',
  },
  max_request_headers_kb: LIMITS.requestHeadersMaxKilobytes,
  // One bad request ends its stream, not the connection with everybody else's.
  stream_error_on_invalid_http_message: true,
});

/**
 * What a connection of HTTP/2 may make Envoy do without asking for anything useful; beyond it the connection ends. Of the
 * same kind are two bounds in the runtime of envoy/bootstrap.yaml, because Envoy takes them from nowhere else: resets of
 * streams (`overload.premature_reset_*`), and requests begun in one go (`http.max_requests_per_io_cycle`).
 */
const floods = (): JsonObject => ({
  // Frames that wait for a client that does not read: enough for all streams with one window's answers each.
  max_outbound_frames: 4_096,
  // Of them answers to SETTINGS and PING and resets: a client that causes more than it reads means harm.
  max_outbound_control_frames: 256,
  // Frames with nothing in them (CVE-2019-9518): clients end a body with one at most.
  max_consecutive_inbound_frames_with_empty_payload: 1,
  // Counted over all streams. Priorities mean nothing here (RFC 9113, 5.3.1), and old browsers send a few at the start.
  max_inbound_priority_frames_per_stream: 10,
  // One answer of a node needs about two a frame, for the stream and for the connection.
  max_inbound_window_update_frames_per_data_frame_sent: 10,
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
      use_request_id_for_trace_sampling: true,
    }),
  },
  tracing: tracing(),
});
