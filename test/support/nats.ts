import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNats, type NatsLink } from '#adapters/nats/connection.ts';
import { createLog } from '#platform/log.ts';
import { toolPath } from './tools.ts';
import { until } from './wait.ts';

/** A real nats-server of one test, on a free port with its own storage folder. */
export interface NatsServer extends AsyncDisposable {
  readonly url: string;
  /** A connection that is closed with the server. */
  connect(name?: string): Promise<NatsLink>;
  /** Process id as it is now. */
  pid(): number;
  /** kill -9, as a crash. */
  kill(): Promise<void>;
  /** Starts it again on the same port and storage. */
  restart(): Promise<void>;
}

export const silentLog = createLog({ service: 'test', level: 'silent' });

/** Starts nats-server and waits until it answers. */
export async function startNats(): Promise<NatsServer> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-nats-'));
  const binary = await toolPath('nats-server');
  const links: NatsLink[] = [];
  let port = -1;
  let child = await launch();

  async function launch() {
    const config = join(folder, 'nats.conf');
    await writeFile(
      config,
      `listen: "127.0.0.1:${port}"\nports_file_dir: "${folder}"\nmax_payload: 8MB\njetstream { store_dir: "${folder}/js" }\n`,
    );
    const started = spawn(binary, ['-c', config], { stdio: 'ignore' });
    if (port === -1) port = await readPort(folder, started.pid ?? 0);
    return started;
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  return {
    get url() {
      return `nats://127.0.0.1:${port}`;
    },
    async connect(name = 'test') {
      const link = await connectNats({ url: `nats://127.0.0.1:${port}`, name, log: silentLog });
      links.push(link);
      return link;
    },
    pid() {
      if (child.pid === undefined) throw new Error('nats-server does not run');
      return child.pid;
    },
    kill,
    async restart() {
      await kill();
      child = await launch();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(links.map((link) => link[Symbol.asyncDispose]()));
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** nats-server writes the port it took into `<program>_<pid>.ports`. */
async function readPort(folder: string, pid: number): Promise<number> {
  let found = 0;
  await until(
    async () => {
      const text = await readFile(join(folder, `nats-server_${pid}.ports`), 'utf8').catch(() => '');
      found = Number(/nats:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1] ?? 0);
      return found > 0;
    },
    { deadlineMs: 10_000, what: 'nats-server to listen' },
  );
  return found;
}
