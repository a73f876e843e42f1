import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderBootstrap } from '../../../../src/launcher/envoy-bootstrap.ts';
import { freePort } from '../../../support/free-port.ts';
import { toolPath } from '../../../support/tools.ts';
import { until } from '../../../support/wait.ts';

const BOOTSTRAP = new URL('../../../../envoy/bootstrap.yaml', import.meta.url);
const DEADLINE_MS = 30_000;

/** A real Envoy on the shipped bootstrap. */
export interface RunningEnvoy extends AsyncDisposable {
  readonly child: ChildProcess;
  /** GET on the admin port. */
  admin(path: string): Promise<string>;
  /** POST on the admin port. */
  post(path: string): Promise<void>;
  /** One statistic as a number, 0 when it does not exist. */
  stat(name: string): Promise<number>;
  /** What Envoy logged so far. */
  log(): string;
}

/** Starts Envoy with the addresses filled in. It waits for the admin port alone. */
export async function startEnvoy(options: {
  readonly folder: string;
  readonly nodeId: string;
  readonly xdsPort: number;
  readonly authzPort: number;
  readonly apiPort: number;
}): Promise<RunningEnvoy> {
  const adminPort = await freePort();
  const at = (port: number) => ({ host: '127.0.0.1', port });
  const bootstrap = renderBootstrap(await readFile(BOOTSTRAP, 'utf8'), {
    nodeId: options.nodeId,
    admin: at(adminPort),
    clusters: { xds: at(options.xdsPort), authz: at(options.authzPort), authz_api: at(options.apiPort) },
  });
  const file = join(options.folder, `${options.nodeId}.json`);
  await writeFile(file, bootstrap);
  const args = [
    '-c',
    file,
    '--use-dynamic-base-id',
    '--concurrency',
    '1',
    '--file-flush-interval-msec',
    '50',
    '-l',
    'warning',
  ];
  const child = spawn(toolPath('envoy'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const admin = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${adminPort}${path}`)).text();
  const answers = async () => child.exitCode !== null || (await admin('/server_info')) !== '';
  await until(answers, { deadlineMs: DEADLINE_MS, what: 'the admin port' });
  if (child.exitCode !== null) throw new Error(`Envoy ended:\n${text}`);
  return {
    child,
    admin,
    post: async (path) => {
      await (await fetch(`http://127.0.0.1:${adminPort}${path}`, { method: 'POST' })).arrayBuffer();
    },
    log: () => text,
    stat: async (name) => {
      const lines = (await admin(`/stats?filter=${encodeURIComponent(`^${name.replaceAll('.', '\\.')}$`)}`)).split(
        '\n',
      );
      return Number(lines.find((line) => line.startsWith(`${name}: `))?.split(': ')[1] ?? 0);
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
