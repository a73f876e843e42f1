import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LauncherConfig } from './config.ts';
import { keepCertificates } from './data/certificates.ts';
import type { DataFolder } from './data/folder.ts';
import { keepSecret } from './data/keys.ts';
import { choosePorts, readKeptPorts, writeKeptPorts } from './data/ports.ts';
import { replaceFile } from './data/write-file.ts';
import { renderBootstrap } from './envoy-bootstrap.ts';
import { addressesOf, type Layout, LOOPBACK, NODES, portWishes, socketsOf } from './layout.ts';
import { natsConfig } from './nats-config.ts';
import type { RunFile } from './run-file.ts';
import { rotateLog } from './supervise/log-file.ts';

const NODE_ID = 'envoy-1';

/** Everything that is on the disk before the first child starts. */
export interface Prepared {
  readonly layout: Layout;
  readonly bootstrapToken: string;
  readonly natsConfig: string;
  readonly envoyBootstrap: string;
}

/**
 * Makes or finds ports, secrets, certificates and the configuration of the two servers.
 * @throws StartError when a port is taken or a secret is damaged
 */
export async function prepare(repository: string, config: LauncherConfig, data: DataFolder): Promise<Prepared> {
  const masterKeyFile = join(data.keys, 'master.key');
  const bootstrapTokenFile = join(data.keys, 'bootstrap-token');
  const [kept, certificates, bootstrapToken] = await Promise.all([
    readKeptPorts(data.portsFile),
    keepCertificates(data.tls, new Date()),
    keepSecret(bootstrapTokenFile),
    keepSecret(masterKeyFile),
  ]);
  const ports = await choosePorts(portWishes(config), kept);
  await writeKeptPorts(data.portsFile, ports);
  // Envoy opens it itself and keeps it open.
  rotateLog(join(data.logs, 'access.log'));
  const layout = { repository, config, data, ports, certificates, masterKeyFile, bootstrapTokenFile };
  return { layout, bootstrapToken, ...(await writeServerConfigs(layout)) };
}

async function writeServerConfigs(layout: Layout) {
  const { data, ports, repository } = layout;
  const files = { natsConfig: join(data.nats, 'nats.conf'), envoyBootstrap: join(data.envoy, 'bootstrap.json') };
  const loopback = (port: number) => ({ host: LOOPBACK, port });
  const yaml = await readFile(join(repository, 'envoy', 'bootstrap.yaml'), 'utf8');
  const bootstrap = renderBootstrap(yaml, {
    nodeId: NODE_ID,
    admin: loopback(ports.envoyAdmin),
    clusters: {
      xds: loopback(ports['xds.grpc']),
      authz: { path: socketsOf(layout).authz },
      authz_api: loopback(ports['authz.http']),
    },
  });
  await replaceFile(files.natsConfig, natsConfig({ port: ports.nats, storage: join(data.nats, 'jetstream') }));
  await replaceFile(files.envoyBootstrap, bootstrap);
  return files;
}

/** The content of run.json. */
export function runFileOf({ layout, bootstrapToken }: Prepared, pids: Readonly<Record<string, number>>): RunFile {
  const at = addressesOf(layout);
  return {
    http: at.http,
    https: at.https,
    ca: layout.certificates.ca,
    nats: at.nats,
    xds: { grpc: at.xdsGrpc, http: at.xdsHttp },
    authz: { http: at.authzHttp },
    envoyAdmin: at.envoyAdmin,
    nodes: NODES.map(({ kind, shard, name }) => ({ kind, shard, address: at.loopback(name) })),
    bootstrapToken,
    mailDir: layout.data.mail,
    pids,
  };
}
