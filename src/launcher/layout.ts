import { join } from 'node:path';
import { SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { type InternalRole, nodeRole, PROGRAM_ROLES } from '#domain/internal-identity.ts';
import type { InternalTlsFiles } from '#platform/internal-tls/internal-tls.ts';
import type { LauncherConfig } from './config.ts';
import type { CertificateFiles } from './data/certificates.ts';
import type { DataFolder } from './data/folder.ts';
import { internalFiles } from './data/internal-certificates.ts';
import type { PortWish } from './data/ports.ts';

/** Everything but the edge listens here: no other machine can reach it. */
export const LOOPBACK = '127.0.0.1';

const SHARDS = ['s1', 's2'] as const;

/** A reference node: one shard of one kind. */
export interface NodePlace {
  readonly name: `node.${ServiceKind}.${(typeof SHARDS)[number]}`;
  readonly kind: ServiceKind;
  readonly shard: (typeof SHARDS)[number];
}

/** Two shards of each kind. */
export const NODES: readonly NodePlace[] = SERVICE_KINDS.flatMap((kind) =>
  SHARDS.map((shard) => ({ name: `node.${kind}.${shard}` as const, kind, shard })),
);

/** Names of all ports, as kept in ports.json. */
export type PortName =
  | 'http'
  | 'https'
  | 'nats'
  | 'xds.grpc'
  | 'xds.http'
  | 'authz.http'
  | 'authz.api'
  | 'envoyAdmin'
  | NodePlace['name'];

/** The ports to choose: those of the edge as configured (0 = any), the rest any free ones. */
export function portWishes(config: LauncherConfig): readonly PortWish<PortName>[] {
  const edge = (name: 'http' | 'https', port: number, variable: string): PortWish<PortName> => {
    const wish = { name, host: config.edgeAddress };
    return port === 0 ? wish : { ...wish, fixed: { port, variable } };
  };
  const inner: readonly PortName[] = [
    'nats',
    'xds.grpc',
    'xds.http',
    'authz.http',
    // The API over TLS; the port above has it in clear.
    'authz.api',
    'envoyAdmin',
    ...NODES.map((node) => node.name),
  ];
  return [
    edge('http', config.httpPort, 'GATEWAY_PORT'),
    edge('https', config.httpsPort, 'GATEWAY_TLS_PORT'),
    ...inner.map((name) => ({ name, host: LOOPBACK })),
  ];
}

/** Everything the children's settings are made of. */
export interface Layout {
  readonly repository: string;
  readonly config: LauncherConfig;
  readonly data: DataFolder;
  readonly ports: Readonly<Record<PortName, number>>;
  readonly certificates: CertificateFiles;
  readonly masterKeyFile: string;
  readonly bootstrapTokenFile: string;
}

/** The files of a part's certificate inside; undefined where everything inside is in clear. */
export const internalTlsOf = ({ config, data }: Layout, role: InternalRole): InternalTlsFiles | undefined =>
  config.internalTls ? internalFiles(data.internalTls, role) : undefined;

/** All who have a certificate inside. */
export const INTERNAL_ROLES: readonly InternalRole[] = [
  ...PROGRAM_ROLES,
  ...NODES.map(({ kind, shard }) => nodeRole(kind, shard)),
];

/** Where people and programs reach the parts. */
export function addressesOf({ ports, config }: Layout) {
  const loopback = (name: PortName) => `${LOOPBACK}:${ports[name]}`;
  // A wildcard address is where to listen, not where to connect to.
  const edge = /^(0\.0\.0\.0|::)$/.test(config.edgeAddress) ? LOOPBACK : config.edgeAddress;
  const host = edge.includes(':') ? `[${edge}]` : edge;
  return {
    http: `http://${host}:${ports.http}`,
    // By name: what the development certificate is made for and what clients verify.
    https: `https://localhost:${ports.https}`,
    nats: `nats://${loopback('nats')}`,
    xdsGrpc: loopback('xds.grpc'),
    xdsHttp: `http://${loopback('xds.http')}`,
    authzHttp: `http://${loopback('authz.http')}`,
    envoyAdmin: `http://${loopback('envoyAdmin')}`,
    loopback,
  };
}

/** Unix sockets between neighbours: quicker than TCP, and reachable by nobody else. */
export const socketsOf = ({ data }: Pick<Layout, 'data'>) => ({
  hasher: join(data.sockets, 'hasher.sock'),
  authz: join(data.sockets, 'authz.sock'),
});
