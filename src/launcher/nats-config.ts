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
`;
