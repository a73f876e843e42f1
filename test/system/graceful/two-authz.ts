import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { renderBootstrap } from '../../../src/launcher/envoy-bootstrap.ts';
import { freePort } from '../../support/free-port.ts';
import type { RunningGateway } from '../../support/launcher.ts';
import { toolPath } from '../../support/tools.ts';
import { until } from '../../support/wait.ts';

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url));
const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 20_000;

/** A second edge beside a development gateway: an Envoy of its own that two replicas of authz decide for. */
export interface TwoAuthz extends AsyncDisposable {
  readonly http: string;
  /** The TLS listener, with the certificate files of the gateway beside. */
  readonly https: string;
  readonly accessLog: string;
  readonly replicas: readonly [Replica, Replica];
  /** The xds of that Envoy. */
  readonly xds: Replica;
  /** GET on the admin interface of that Envoy. */
  admin(path: string): Promise<string>;
  /** Waits until Envoy takes both replicas, and both of their APIs, for healthy. */
  untilHealthy(): Promise<void>;
}

/** One program of the control plane, restarted on its own ports. */
interface Replica {
  readonly name: string;
  /** SIGTERM, or what is given. @returns the exit code, and how long the end took */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<{ readonly code: number | null; readonly tookMs: number }>;
  start(): Promise<void>;
  /** It hangs: it answers nothing and closes nothing, until it goes on. */
  hang(): void;
  goOn(): void;
}

/** Starts it on the storage, the hasher, the nodes and the keys of `gateway`. */
export async function startTwoAuthz(gateway: RunningGateway): Promise<TwoAuthz> {
  const stack = new AsyncDisposableStack();
  const { nats, http: publicUrl } = await gateway.run();
  const folder = gateway.dataFolder;
  const shared = { GATEWAY_NATS_URL: nats, GATEWAY_LOG_LEVEL: 'info' };
  const [port, tlsPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const xds = { grpc: await freePort(), http: await freePort() };
  const accessLog = join(folder, 'logs', 'access-2.log');
  const xdsReplica = restartable(stack, {
    name: 'xds-2',
    start: () => {
      const child = runNode(folder, 'xds-2', 'xds/main.ts', {
        ...shared,
        GATEWAY_REPLICA: 'xds-2',
        GATEWAY_XDS_GRPC_LISTEN: `127.0.0.1:${xds.grpc}`,
        GATEWAY_XDS_HTTP_LISTEN: `127.0.0.1:${xds.http}`,
        GATEWAY_EDGE_ADDRESS: '127.0.0.1',
        GATEWAY_PORT: String(port),
        GATEWAY_TLS_PORT: String(tlsPort),
        GATEWAY_TLS_CERT_FILE: join(folder, 'tls', 'server.pem'),
        GATEWAY_TLS_KEY_FILE: join(folder, 'tls', 'server.key'),
        GATEWAY_ACCESS_LOG: accessLog,
      });
      return { child, ready: untilOk(`http://127.0.0.1:${xds.http}/health`, 'xds-2') };
    },
  });
  const replicas = [await newReplica('authz-2'), await newReplica('authz-3')] as const;
  await Promise.all([xdsReplica, ...replicas].map((replica) => replica.start()));

  async function newReplica(name: string) {
    const ports = { grpc: await freePort(), http: await freePort() };
    const env = {
      ...shared,
      GATEWAY_REPLICA: name,
      GATEWAY_AUTHZ_GRPC_LISTEN: `127.0.0.1:${ports.grpc}`,
      GATEWAY_AUTHZ_HTTP_LISTEN: `127.0.0.1:${ports.http}`,
      GATEWAY_HASHER_SOCKET: join(folder, 'sockets', 'hasher.sock'),
      GATEWAY_MASTER_KEY_FILE: join(folder, 'keys', 'master.key'),
      GATEWAY_EMAIL_VERIFICATION: 'off',
      GATEWAY_PUBLIC_URL: publicUrl,
    };
    const start = () => {
      const child = runNode(folder, name, 'src/authz/main.ts', env);
      return { child, ready: untilOk(`http://127.0.0.1:${ports.http}/ready`, name) };
    };
    return { ports, ...restartable(stack, { name, start }) };
  }

  const bootstrap = join(folder, 'envoy', 'two-authz.json');
  const clusters = {
    xds: [xds.grpc],
    authz: replicas.map(({ ports }) => ports.grpc),
    authz_api: replicas.map(({ ports }) => ports.http),
  };
  await writeFile(bootstrap, await bootstrapOf(adminPort, clusters));
  const args = ['-c', bootstrap, '--disable-hot-restart', '--concurrency', '1', '-l', 'warning'];
  const envoy = spawn(toolPath('envoy'), [...args, '--file-flush-interval-msec', '100'], { stdio: 'ignore' });
  stack.defer(() => end(envoy, 'SIGKILL').then(() => {}));
  const http = `http://127.0.0.1:${port}`;
  await untilOk(`${http}/ready`, 'the second Envoy').catch(async (error: unknown) => {
    const logs = ['xds-2', ...replicas.map(({ name }) => name)].map((name) =>
      tailOf(join(folder, 'logs', `${name}.log`)),
    );
    throw new Error(`the second Envoy does not serve:\n${(await Promise.all(logs)).join('\n')}`, { cause: error });
  });
  const admin = async (path: string) => (await fetch(`http://127.0.0.1:${adminPort}${path}`)).text();
  const areHealthy = async (): Promise<boolean> => {
    const lines = (await admin('/clusters'))
      .split('\n')
      .filter((line) => /^authz(_api)?::.*::health_flags::/.test(line));
    return lines.length === 4 && lines.every((line) => line.endsWith('::healthy'));
  };
  return {
    http,
    https: `https://127.0.0.1:${tlsPort}`,
    accessLog,
    replicas,
    xds: xdsReplica,
    admin,
    untilHealthy: async () =>
      void (await until(areHealthy, {
        deadlineMs: START_DEADLINE_MS,
        what: 'Envoy to take both replicas for healthy',
      })),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A program that is ended with the rest, however often it was started. */
function restartable(
  stack: AsyncDisposableStack,
  program: {
    readonly name: string;
    readonly start: () => { readonly child: ChildProcess; readonly ready: Promise<void> };
  },
): Replica {
  let child: ChildProcess | undefined;
  stack.defer(async () => void (child !== undefined && (await end(child, 'SIGKILL'))));
  return {
    name: program.name,
    start: async () => {
      const started = program.start();
      child = started.child;
      await started.ready;
    },
    stop: async (signal = 'SIGTERM') => {
      const startedAt = performance.now();
      const code = child === undefined ? null : await end(child, signal);
      return { code, tookMs: performance.now() - startedAt };
    },
    hang: () => void child?.kill('SIGSTOP'),
    goOn: () => void child?.kill('SIGCONT'),
  };
}

const tailOf = async (file: string): Promise<string> => (await readFile(file, 'utf8').catch(() => '')).slice(-4_000);

/** The shipped bootstrap with several endpoints where it has one. */
async function bootstrapOf(adminPort: number, clusters: Readonly<Record<string, readonly number[]>>): Promise<string> {
  const yaml = await readFile(join(REPOSITORY, 'envoy', 'bootstrap.yaml'), 'utf8');
  const at = (port: number) => ({ host: '127.0.0.1', port });
  const rendered = renderBootstrap(yaml, {
    nodeId: 'envoy-2',
    admin: at(adminPort),
    clusters: Object.fromEntries(Object.entries(clusters).map(([name, [port = 0]]) => [name, at(port)])),
  });
  const bootstrap: {
    static_resources: { clusters: { name: string; load_assignment: { endpoints: { lb_endpoints: unknown[] }[] } }[] };
  } = parse(rendered);
  for (const cluster of bootstrap.static_resources.clusters) {
    const locality = cluster.load_assignment.endpoints?.[0];
    const ports = clusters[cluster.name];
    if (locality === undefined || ports === undefined) continue;
    locality.lb_endpoints = ports.map((port) => ({
      endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
    }));
  }
  return JSON.stringify(bootstrap);
}

function runNode(folder: string, name: string, main: string, env: Readonly<Record<string, string>>): ChildProcess {
  const script = `exec "$0" "$1" >> "$2" 2>&1`;
  const args = ['-c', script, process.execPath, join(REPOSITORY, main), join(folder, 'logs', `${name}.log`)];
  // Compiled code as the launcher's programs keep it: two starts must not take the processor from what is measured.
  const cache = { NODE_COMPILE_CACHE: join(folder, 'compile-cache') };
  return spawn('sh', args, { env: { ...process.env, ...cache, ...env }, stdio: 'ignore' });
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit', { signal: AbortSignal.timeout(STOP_DEADLINE_MS) });
    child.kill(signal);
    await ended;
  }
  return child.exitCode;
}

const untilOk = async (url: string, what: string): Promise<void> =>
  void (await until(async () => (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok, {
    deadlineMs: START_DEADLINE_MS,
    what: `${what} to be ready`,
  }));
