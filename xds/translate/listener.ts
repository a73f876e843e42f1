import { connectionManager, type EdgeOptions } from './connection-manager.ts';
import { extension, type JsonObject, overAds } from './json.ts';
import { NAMES } from './names.ts';

interface ListenOptions extends EdgeOptions {
  /** IP address both listeners bind. */
  readonly address: string;
  /** HTTP/1.1, HTTP/2 and gRPC in clear. */
  readonly plainPort: number;
  readonly tlsPort: number;
}

const BUFFER_BYTES = 32_768;

/** The two listeners. They are constant: a changed listener closes the connections of all its clients. */
export const listeners = (options: ListenOptions): JsonObject[] => [plain(options), tls(options)];

const plain = (options: ListenOptions): JsonObject => ({
  name: NAMES.plainListener,
  address: socket(options.address, options.plainPort),
  per_connection_buffer_limit_bytes: BUFFER_BYTES,
  filter_chains: [{ filters: [connectionManager(options)] }],
});

const tls = (options: ListenOptions): JsonObject => ({
  name: NAMES.tlsListener,
  address: socket(options.address, options.tlsPort),
  per_connection_buffer_limit_bytes: BUFFER_BYTES,
  listener_filters: [
    extension(
      'envoy.filters.listener.tls_inspector',
      'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
    ),
  ],
  filter_chains: [
    {
      filters: [connectionManager(options)],
      transport_socket: extension(
        'envoy.transport_sockets.tls',
        'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
        {
          common_tls_context: {
            alpn_protocols: ['h2', 'http/1.1'],
            tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
            tls_certificate_sds_secret_configs: [{ name: NAMES.certificate, sds_config: overAds() }],
          },
        },
      ),
    },
  ],
});

const socket = (address: string, port: number): JsonObject => ({ socket_address: { address, port_value: port } });
