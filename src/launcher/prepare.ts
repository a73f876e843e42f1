import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identityOf } from '#domain/internal-identity.ts';
import { replaceFile } from '#platform/replace-file.ts';
import type { LauncherConfig } from './config.ts';
import { keepCertificates } from './data/certificates.ts';
import type { DataFolder } from './data/folder.ts';
import { keepInternalCertificates } from './data/internal-certificates.ts';
import { keepSecret } from './data/keys.ts';
import { choosePorts, readKeptPorts, writeKeptPorts } from './data/ports.ts';
import { renderBootstrap, renderSecret } from './envoy-bootstrap.ts';
import {
  addressesOf,
  INTERNAL_ROLES,
  internalTlsOf,
  type Layout,
  LOOPBACK,
  NODES,
  portWishes,
  socketsOf,
} from './layout.ts';
import { natsConfig } from './nats-config.ts';
import type { RunFile } from './run-file.ts';
import { rotateLog } from './supervise/log-file.ts';

const NODE_ID = 'envoy-1';
/** Who works with the storage. */
const NATS_CLIENTS = ['authz', 'xds', 'operator'] as const;

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
  if (config.internalTls) {
    await keepInternalCertificates(data.internalTls, { roles: INTERNAL_ROLES, now: new Date() });
  }
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
  const envoyTls = internalTlsOf(layout, 'envoy');
  const yaml = await readFile(join(repository, 'envoy', 'bootstrap.yaml'), 'utf8');
  const bootstrap = renderBootstrap(yaml, {
    nodeId: NODE_ID,
    admin: loopback(ports.envoyAdmin),
    clusters: {
      xds: loopback(ports['xds.grpc']),
      authz: { path: socketsOf(layout).authz },
      authz_api: loopback(ports[envoyTls === undefined ? 'authz.http' : 'authz.api']),
      ...(layout.config.collector === undefined ? {} : { otlp: layout.config.collector }),
    },
    secretsFolder: envoyTls === undefined ? undefined : data.envoy,
  });
  if (envoyTls !== undefined) {
    for (const file of ['sds-identity.yaml', 'sds-trust.yaml']) {
      const secret = renderSecret(await readFile(join(repository, 'envoy', file), 'utf8'), envoyTls);
      await replaceFile(join(data.envoy, file), secret);
    }
  }
  const tls = internalTlsOf(layout, 'nats');
  const nats = natsConfig({
    port: ports.nats,
    storage: join(data.nats, 'jetstream'),
    tls: tls === undefined ? undefined : { ...tls, clients: NATS_CLIENTS.map(identityOf) },
  });
  await replaceFile(files.natsConfig, nats);
  await replaceFile(files.envoyBootstrap, bootstrap);
  return files;
}

/** The content of run.json. */
export function runFileOf({ layout, bootstrapToken }: Prepared, pids: Readonly<Record<string, number>>): RunFile {
  const at = addressesOf(layout);
  const internalTls = internalTlsOf(layout, 'operator');
  return {
    http: at.http,
    https: at.https,
    ca: layout.certificates.ca,
    ...(internalTls === undefined ? {} : { internalTls }),
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
