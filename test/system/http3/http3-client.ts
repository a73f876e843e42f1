import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { toolPath } from '../../support/tools.ts';
import { until } from '../../support/wait.ts';

/** Whoever speaks to `http` in clear, HTTP/1.1 or HTTP/2, speaks HTTP/3 to the gateway. */
export interface Http3Client extends AsyncDisposable {
  readonly http: string;
  /** How many QUIC connections it has made so far. */
  connections(): Promise<number>;
}

const DEADLINE_MS = 30_000;

/**
 * A client of HTTP/3, which Node does not speak: an Envoy that sends on what it gets, over one QUIC connection.
 * @param options.tlsPort UDP port of the gateway on this machine
 * @param options.ca PEM file of the authority that the gateway's certificate must be of
 */
export async function startHttp3Client(options: {
  readonly tlsPort: number;
  readonly ca: string;
}): Promise<Http3Client> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await tempFolder());
  const [port, adminPort] = [await freePort(), await freePort()];
  const file = join(folder.path, 'client.json');
  await writeFile(file, JSON.stringify(configuration({ ...options, port, adminPort })));
  const args = ['-c', file, '--use-dynamic-base-id', '--concurrency', '1', '-l', 'critical'];
  const child = spawn(toolPath('envoy'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
  stack.defer(() => end(child));
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    log += part;
  });
  const admin = async (path: string) => (await fetch(`http://127.0.0.1:${adminPort}${path}`)).text();
  const isLive = async () => child.exitCode !== null || (await admin('/ready')).startsWith('LIVE');
  await until(isLive, { deadlineMs: DEADLINE_MS, what: 'the HTTP/3 client to start' });
  if (child.exitCode !== null) throw new Error(`the HTTP/3 client ended:\n${log}`);
  return {
    http: `http://127.0.0.1:${port}`,
    connections: async () => {
      const text = await admin('/stats?filter=%5Ecluster.gateway.upstream_cx_http3_total$');
      return Number(text.split(': ')[1] ?? 0);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

const API = 'type.googleapis.com/envoy';
const socket = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

const configuration = (options: {
  readonly port: number;
  readonly adminPort: number;
  readonly tlsPort: number;
  readonly ca: string;
}) => ({
  admin: { address: socket(options.adminPort) },
  static_resources: {
    listeners: [
      {
        name: 'in',
        address: socket(options.port),
        filter_chains: [{ filters: [{ name: 'http', typed_config: MANAGER }] }],
      },
    ],
    clusters: [
      {
        name: 'gateway',
        type: 'STATIC',
        connect_timeout: '5s',
        load_assignment: {
          cluster_name: 'gateway',
          endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(options.tlsPort) } }] }],
        },
        typed_extension_protocol_options: {
          'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
            '@type': `${API}.extensions.upstreams.http.v3.HttpProtocolOptions`,
            explicit_http_config: { http3_protocol_options: {} },
          },
        },
        transport_socket: {
          name: 'envoy.transport_sockets.quic',
          typed_config: {
            '@type': `${API}.extensions.transport_sockets.quic.v3.QuicUpstreamTransport`,
            upstream_tls_context: {
              sni: 'localhost',
              common_tls_context: {
                validation_context: {
                  trusted_ca: { filename: options.ca },
                  match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'localhost' } }],
                },
              },
            },
          },
        },
      },
    ],
  },
});

/** Adds nothing to a request, and takes nothing away from an answer. */
const MANAGER = {
  '@type': `${API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
  stat_prefix: 'in',
  codec_type: 'AUTO',
  generate_request_id: false,
  preserve_external_request_id: true,
  server_header_transformation: 'PASS_THROUGH',
  max_request_headers_kb: 96,
  route_config: {
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          { match: { prefix: '/' }, route: { cluster: 'gateway', timeout: '20s', host_rewrite_literal: 'localhost' } },
        ],
      },
    ],
  },
  http_filters: [
    {
      name: 'envoy.filters.http.router',
      typed_config: {
        '@type': `${API}.extensions.filters.http.router.v3.Router`,
        suppress_envoy_headers: true,
      },
    },
  ],
};
