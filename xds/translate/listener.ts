import { LIMITS } from '#domain/limits.ts';
import { connectionManager, type EdgeOptions } from './connection-manager.ts';
import { strictTransport } from './filters/browser/strict-transport.ts';
import { advertisement, type Http3Options, quicListener } from './http3.ts';
import { extension, type JsonObject } from './json.ts';
import { NAMES } from './names.ts';
import { downstreamTls } from './secret.ts';

interface ListenOptions extends EdgeOptions {
  /** IP address all listeners bind. */
  readonly address: string;
  /** HTTP/1.1, HTTP/2 and gRPC in clear. */
  readonly plainPort: number;
  readonly tlsPort: number;
  /** HTTP/3 on the UDP port of the same number; undefined: none. */
  readonly http3?: Http3Options | undefined;
  /** How long browsers are told to use TLS alone; 0: nothing is said. */
  readonly hstsSeconds?: number | undefined;
}

/** The listeners. They are constant: a changed listener closes the connections of all its clients. */
export const listeners = (options: ListenOptions): JsonObject[] => [
  plain(options),
  tls(options),
  ...(options.http3 === undefined ? [] : [quicListener(options)]),
];

const plain = (options: ListenOptions): JsonObject => ({
  name: NAMES.plainListener,
  address: socket(options.address, options.plainPort),
  per_connection_buffer_limit_bytes: LIMITS.connectionBufferMaxBytes,
  filter_chains: [{ filters: [connectionManager(options)] }],
});

const tls = (options: ListenOptions): JsonObject => ({
  name: NAMES.tlsListener,
  address: socket(options.address, options.tlsPort),
  per_connection_buffer_limit_bytes: LIMITS.connectionBufferMaxBytes,
  listener_filters: [
    extension(
      'envoy.filters.listener.tls_inspector',
      'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
    ),
  ],
  filter_chains: [
    {
      filters: [connectionManager(options, { firstFilters: onlyOverTls(options) })],
      transport_socket: extension(
        'envoy.transport_sockets.tls',
        'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
        downstreamTls({ protocols: ['h2', 'http/1.1'], minimum: 'TLSv1_2' }),
      ),
    },
  ],
});

const onlyOverTls = ({ http3, hstsSeconds = 0 }: ListenOptions): readonly JsonObject[] => [
  ...(http3 === undefined ? [] : (advertisement(http3).firstFilters ?? [])),
  ...strictTransport(hstsSeconds),
];

const socket = (address: string, port: number): JsonObject => ({ socket_address: { address, port_value: port } });
