import { LIMITS } from '#domain/limits.ts';
import { connectionManager, type EdgeOptions, type OwnSettings } from './connection-manager.ts';
import { extension, type JsonObject, setHeader } from './json.ts';
import { NAMES } from './names.ts';
import { downstreamTls } from './secret.ts';

/** HTTP/3 beside the TLS listener: the same port, certificate, filters and limits, over UDP. */
export interface Http3Options {
  /** The UDP port that clients reach it by, where a load balancer or a published port stands between. */
  readonly advertisedPort: number;
}

/** How long clients believe the advertisement (RFC 7838, 3.1); after that, and when it fails, they use TCP. */
const ADVERTISED_SECONDS = 86_400;

/**
 * Tells clients of the TLS listener that HTTP/3 is spoken here (RFC 7838). A filter of that listener: a route's header
 * would be pushed again with every move, and clients in clear could do nothing with it.
 */
export const advertisement = ({ advertisedPort }: Http3Options): OwnSettings => ({
  firstFilters: [
    extension('gateway.alt_svc', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
      mutations: {
        response_mutations: [{ append: setHeader('alt-svc', `h3=":${advertisedPort}"; ma=${ADVERTISED_SECONDS}`) }],
      },
    }),
  ],
});

/** Limits as on HTTP/2; see there for why the windows are as they are. */
const FLOW = {
  max_concurrent_streams: 100,
  initial_stream_window_size: LIMITS.requestBodyMaxBytes + 65_536,
  initial_connection_window_size: 2 * LIMITS.requestBodyMaxBytes,
} as const;

const CODEC: OwnSettings = {
  settings: {
    codec_type: 'HTTP3',
    http3_protocol_options: {
      quic_protocol_options: FLOW,
      // One bad request ends its stream, not the connection with everybody else's.
      override_stream_error_on_invalid_http_message: true,
    },
  },
};

/** The QUIC listener (RFC 9000, RFC 9114). */
export const quicListener = (
  options: EdgeOptions & { readonly address: string; readonly tlsPort: number },
): JsonObject => ({
  name: NAMES.quicListener,
  address: { socket_address: { protocol: 'UDP', address: options.address, port_value: options.tlsPort } },
  udp_listener_config: {
    quic_options: {
      quic_protocol_options: FLOW,
      crypto_handshake_timeout: '10s',
      // Behind a load balancer a client's new address may lead to another Envoy, which knows nothing of the connection.
      send_disable_active_migration: true,
    },
    // Several datagrams a system call, where the kernel can.
    downstream_socket_config: { prefer_gro: true },
  },
  filter_chains: [
    {
      filters: [connectionManager(options, CODEC)],
      transport_socket: extension(
        'envoy.transport_sockets.quic',
        'envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport',
        {
          downstream_tls_context: downstreamTls({ protocols: ['h3'], minimum: 'TLSv1_3' }),
          // Whoever recorded early data can send it again (RFC 8446, 8; RFC 8470): a command would be said twice.
          enable_early_data: false,
        },
      ),
    },
  ],
});
