import type { InternalTlsFiles } from '#platform/internal-tls/internal-tls.ts';

/**
 * Configuration of the development nats-server: one server on loopback, JetStream in the data folder.
 *
 * `sync_interval: always`: the default acknowledges a write and flushes it within two minutes, so that a power cut takes
 * acknowledged users and revisions with it (measured by others: up to 14 % of them). Here it costs about 0.4 ms a write,
 * and development then behaves as production, which requires it.
 */
export const natsConfig = (options: {
  readonly port: number;
  readonly storage: string;
  /** Its certificate, and the identities that may connect; absent: whoever reaches the port, in clear. */
  readonly tls?: (InternalTlsFiles & { readonly clients: readonly string[] }) | undefined;
}): string => `# Made at each start.
server_name: "gateway-development"
listen: "127.0.0.1:${options.port}"
# A routing document with its chunks is the largest message; the default of 1 MB is too small for 100,000 tenants.
max_payload: 8MB
jetstream {
  store_dir: ${JSON.stringify(options.storage)}
  # An acknowledged write is on the disk, as production requires.
  sync_interval: always
}
${options.tls === undefined ? '' : tlsConfig(options.tls)}`;

/**
 * Mutual TLS from the first byte. A client is the user that the URI SAN of its certificate names: no other certificate of
 * the same CA comes in.
 */
const tlsConfig = (tls: InternalTlsFiles & { readonly clients: readonly string[] }): string => `tls {
  cert_file: ${JSON.stringify(tls.certificate)}
  key_file: ${JSON.stringify(tls.key)}
  ca_file: ${JSON.stringify(tls.ca)}
  verify_and_map: true
  handshake_first: true
  min_version: "1.3"
}
authorization {
  users: [
${tls.clients.map((client) => `    { user: ${JSON.stringify(client)} }`).join('\n')}
  ]
}
`;
