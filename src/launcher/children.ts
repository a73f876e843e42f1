import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type InternalRole, nodeRole } from '#domain/internal-identity.ts';
import { HEAP_FLAGS } from '#platform/heap-flags.ts';
import { SUPERVISED_BY } from './data/orphans.ts';
import { addressesOf, internalTlsOf, type Layout, NODES, type NodePlace, socketsOf } from './layout.ts';
import { accepts, answersOk, type Probe } from './supervise/probes.ts';
import type { Command } from './supervise/start-process.ts';

/** When a child is started; the stages are started one after the other and stopped in reverse. */
export type Stage = 'storage' | 'services' | 'edge';

/** One program the launcher keeps running. */
export interface Child {
  /** Key in run.json's pids and name of the log file. */
  readonly name: string;
  readonly stage: Stage;
  readonly command: Command;
  /** Whether it serves. */
  readonly ready: Probe;
  /** A Unix socket it listens on: removed before each start, because one left by a kill -9 blocks the next. */
  readonly socket?: string;
}

const ENVOY_WORKERS = 2;
const ENVOY_LOG_FLUSH_MS = 500;
/** How long clients get to notice that Envoy ends; new connections are served for so long. */
export const ENVOY_DRAIN_SECONDS = 2;

/** All children in the order of their start. */
export function describeChildren(
  layout: Layout,
  files: { natsConfig: string; envoyBootstrap: string },
): readonly Child[] {
  return [
    natsServer(layout, files.natsConfig),
    hasher(layout),
    authz(layout),
    xds(layout),
    ...NODES.map((node) => referenceNode(layout, node)),
    envoy(layout, files.envoyBootstrap),
  ];
}

/** Removes what a killed predecessor left. */
export async function clearTheWay(child: Child): Promise<void> {
  if (child.socket !== undefined) await rm(child.socket, { force: true });
}

function natsServer(layout: Layout, config: string): Child {
  return {
    name: 'nats',
    stage: 'storage',
    command: command(layout, 'nats', { file: layout.config.natsServer, args: ['--config', config], env: {} }),
    ready: accepts({ host: '127.0.0.1', port: layout.ports.nats }),
  };
}

function hasher(layout: Layout): Child {
  const socket = socketsOf(layout).hasher;
  const env = { GATEWAY_HASHER_SOCKET: socket };
  return {
    name: 'hasher',
    stage: 'services',
    command: nodeCommand(layout, 'hasher', 'src/hasher/main.ts', env),
    ready: accepts({ path: socket }),
    socket,
  };
}

/** At home all clients, tests and load generators among them, come from one address: limits per address get room. */
const LIMITS_FOR_ONE_ADDRESS = {
  GATEWAY_RATE_ADDRESS: '600000/60s',
  GATEWAY_RATE_CREDENTIALS: '60000/60s',
  GATEWAY_SIGN_IN_FAILURES_PER_ADDRESS: '10000',
} as const;

function authz(layout: Layout): Child {
  const { data, config } = layout;
  const at = addressesOf(layout);
  const sockets = socketsOf(layout);
  const env = {
    // Who runs the gateway at home need not read mails; anything else is set by hand.
    GATEWAY_EMAIL_VERIFICATION: config.environment['GATEWAY_EMAIL_VERIFICATION'] ?? 'off',
    ...Object.fromEntries(
      Object.entries(LIMITS_FOR_ONE_ADDRESS).map(([name, value]) => [name, config.environment[name] ?? value]),
    ),
    GATEWAY_AUTHZ_GRPC_LISTEN: `unix:${sockets.authz}`,
    GATEWAY_AUTHZ_HTTP_LISTEN: at.loopback('authz.http'),
    GATEWAY_NATS_URL: at.nats,
    GATEWAY_REPLICA: 'authz-1',
    GATEWAY_HASHER_SOCKET: sockets.hasher,
    GATEWAY_MASTER_KEY_FILE: layout.masterKeyFile,
    GATEWAY_BOOTSTRAP_TOKEN_FILE: layout.bootstrapTokenFile,
    GATEWAY_MAIL_DIR: data.mail,
    GATEWAY_PUBLIC_URL: config.environment['GATEWAY_PUBLIC_URL'] ?? at.http,
    ...tlsEnvironment(layout, 'authz'),
    ...(config.internalTls ? { GATEWAY_AUTHZ_API_LISTEN: at.loopback('authz.api') } : {}),
  };
  return {
    name: 'authz',
    stage: 'services',
    command: nodeCommand(layout, 'authz', 'src/authz/main.ts', env),
    ready: answersOk(`${at.authzHttp}/health`),
    socket: sockets.authz,
  };
}

function xds(layout: Layout): Child {
  const { data, config, ports, certificates } = layout;
  const at = addressesOf(layout);
  const env = {
    GATEWAY_XDS_GRPC_LISTEN: at.xdsGrpc,
    GATEWAY_XDS_HTTP_LISTEN: at.loopback('xds.http'),
    GATEWAY_NATS_URL: at.nats,
    GATEWAY_REPLICA: 'xds-1',
    GATEWAY_EDGE_ADDRESS: config.edgeAddress,
    GATEWAY_PORT: String(ports.http),
    GATEWAY_TLS_PORT: String(ports.https),
    GATEWAY_TLS_CERT_FILE: certificates.certificate,
    GATEWAY_TLS_KEY_FILE: certificates.key,
    GATEWAY_ACCESS_LOG: join(data.logs, 'access.log'),
    GATEWAY_XDS_STATE_DIR: data.xds,
    ...tlsEnvironment(layout, 'xds'),
    // Whoever wants TLS inside wants it of the shards, too.
    ...(config.internalTls ? { GATEWAY_SHARD_TLS: config.environment['GATEWAY_SHARD_TLS'] ?? 'required' } : {}),
    GATEWAY_ENVOY_SDS_DIR: data.envoy,
    // `on` here, a path there.
    GATEWAY_ENVOY_VALIDATOR: config.envoyValidator ? config.envoy : '',
    // A browser would keep it for every port of this machine.
    GATEWAY_HSTS_SECONDS: config.environment['GATEWAY_HSTS_SECONDS'] ?? '0',
  };
  return {
    name: 'xds',
    stage: 'services',
    command: nodeCommand(layout, 'xds', 'xds/main.ts', env),
    ready: answersOk(`${at.xdsHttp}/health`),
  };
}

function referenceNode(layout: Layout, node: NodePlace): Child {
  const env = {
    NODE_LISTEN: addressesOf(layout).loopback(node.name),
    NODE_KIND: node.kind,
    NODE_SHARD: node.shard,
    ...tlsEnvironment(layout, nodeRole(node.kind, node.shard)),
  };
  return {
    name: node.name,
    stage: 'services',
    command: nodeCommand(layout, node.name, 'test/nodes/main.ts', env),
    ready: accepts({ host: '127.0.0.1', port: layout.ports[node.name] }),
  };
}

function envoy(layout: Layout, bootstrap: string): Child {
  const args = [
    ...['--config-path', bootstrap],
    ...['--concurrency', String(ENVOY_WORKERS)],
    // One Envoy a data folder; hot restart would need shared memory names of its own for each.
    '--disable-hot-restart',
    ...['--drain-time-s', String(ENVOY_DRAIN_SECONDS), '--drain-strategy', 'immediate'],
    // A client can make Envoy write a line for every request it refuses: those stand in the access log anyway.
    ...['--log-level', 'warning', '--component-log-level', 'http:critical'],
    ...['--file-flush-interval-msec', String(ENVOY_LOG_FLUSH_MS)],
  ];
  return {
    name: 'envoy',
    stage: 'edge',
    command: command(layout, 'envoy', { file: layout.config.envoy, args, env: {} }),
    ready: answersOk(`${addressesOf(layout).http}/ready`),
  };
}

/** The files of a part's certificate. Never those of another gateway: what this process got is not passed on. */
function tlsEnvironment(layout: Layout, role: InternalRole): Readonly<Record<string, string>> {
  const files = internalTlsOf(layout, role);
  return {
    GATEWAY_INTERNAL_CA_FILE: files?.ca ?? '',
    GATEWAY_INTERNAL_CERT_FILE: files?.certificate ?? '',
    GATEWAY_INTERNAL_KEY_FILE: files?.key ?? '',
  };
}

function nodeCommand(layout: Layout, name: string, main: string, env: Readonly<Record<string, string>>): Command {
  const file = process.execPath;
  const args = [...HEAP_FLAGS, join(layout.repository, main)];
  return command(layout, name, { file, args, env: { NODE_COMPILE_CACHE: layout.data.compileCache, ...env } });
}

function command(
  layout: Layout,
  name: string,
  { file, args, env }: { file: string; args: readonly string[]; env: Readonly<Record<string, string>> },
): Command {
  return {
    file,
    args,
    env: { ...layout.config.environment, [SUPERVISED_BY]: layout.data.root, ...env },
    logFile: join(layout.data.logs, `${name}.log`),
  };
}
