import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunFile } from '../../src/launcher/run-file.ts';
import { toolPath } from './tools.ts';
import { until } from './wait.ts';

const MAIN = fileURLToPath(new URL('../../src/launcher/main.ts', import.meta.url));
const START_DEADLINE_MS = 90_000;
const STOP_DEADLINE_MS = 30_000;

/** A whole development gateway of one test: real processes on free ports. */
export interface RunningGateway extends AsyncDisposable {
  readonly dataFolder: string;
  /** run.json as it is now. */
  run(): Promise<RunFile>;
  /** Everything the launcher has printed since the last start. */
  output(): string;
  /** Process id of the launcher. */
  pid(): number;
  /** SIGTERM to the launcher. @returns its exit code */
  stop(): Promise<number>;
  /** As when whoever started it dies: nobody reads what it prints, the channel is gone. @returns its exit code */
  abandon(): Promise<number>;
  /** kill -9 of a child by its name in run.json. @returns the process id it had */
  kill(name: string): Promise<number>;
  /** Waits until a child runs again under another process id, and says which. */
  restarted(name: string, previousPid: number): Promise<number>;
  /** kill -9 of the launcher itself, which leaves its children alone. */
  killLauncher(): Promise<void>;
  /** Starts it again on the same data after it was stopped or killed. */
  start(): Promise<void>;
}

/**
 * Starts a development gateway as `npm start` does and waits until it says that it is ready. Without a data folder it
 * gets one of its own, which is removed at the end.
 * @throws Error with everything it printed when it ends or does not get ready in time
 */
export async function startGateway(
  options: { readonly env?: Readonly<Record<string, string>>; readonly dataFolder?: string } = {},
): Promise<RunningGateway> {
  const dataFolder = options.dataFolder ?? (await mkdtemp(join(tmpdir(), 'gateway-data-')));
  const env = {
    ...process.env,
    GATEWAY_PORT: '0',
    GATEWAY_TLS_PORT: '0',
    GATEWAY_ENVOY: toolPath('envoy'),
    GATEWAY_NATS_SERVER: toolPath('nats-server'),
    NO_COLOR: '1',
    ...options.env,
    GATEWAY_DATA: dataFolder,
  };
  let launched = launch(env);

  async function stop(): Promise<number> {
    return endProcess(launched.child, 'SIGTERM');
  }
  async function dispose(): Promise<void> {
    await stop();
    if (options.dataFolder === undefined) await rm(dataFolder, { recursive: true, force: true });
  }

  const gateway: RunningGateway = {
    dataFolder,
    run: () => readRunFile(dataFolder),
    output: () => launched.output(),
    pid: () => pidOf(launched.child),
    stop,
    async abandon() {
      const { child } = launched;
      const ended = once(child, 'exit', { signal: AbortSignal.timeout(STOP_DEADLINE_MS) });
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.disconnect();
      const [code] = await ended;
      return code ?? -1;
    },
    async kill(name) {
      const pid = (await readRunFile(dataFolder)).pids[name];
      if (pid === undefined) throw new Error(`no child ${name} runs`);
      process.kill(pid, 'SIGKILL');
      return pid;
    },
    restarted: (name, previousPid) =>
      until(
        async () => {
          const pid = (await readRunFile(dataFolder)).pids[name];
          return pid !== previousPid && pid;
        },
        { deadlineMs: START_DEADLINE_MS, what: `${name} to run again` },
      ),
    async killLauncher() {
      await endProcess(launched.child, 'SIGKILL');
    },
    async start() {
      launched = launch(env);
      await untilReady(launched);
    },
    [Symbol.asyncDispose]: dispose,
  };
  try {
    await untilReady(launched);
    return gateway;
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface Launched {
  readonly child: ChildProcess;
  output(): string;
}

function launch(env: NodeJS.ProcessEnv): Launched {
  // The channel makes the gateway stop by itself when the test process dies.
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  return { child, output: () => text };
}

async function untilReady({ child, output }: Launched): Promise<void> {
  const state = await until(() => (hasEnded(child) ? 'ended' : /^gateway ready http/m.test(output()) && 'ready'), {
    deadlineMs: START_DEADLINE_MS,
    what: 'the gateway to get ready',
  }).catch((error: unknown) => {
    throw new Error(`the gateway did not get ready:\n${output()}`, { cause: error });
  });
  if (state === 'ended') throw new Error(`the gateway ended with exit code ${child.exitCode}:\n${output()}`);
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

async function endProcess(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<number> {
  if (!hasEnded(child)) {
    const ended = once(child, 'close', { signal: AbortSignal.timeout(STOP_DEADLINE_MS) });
    child.kill(signal);
    await ended;
  }
  return child.exitCode ?? -1;
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('the launcher could not be started');
  return child.pid;
}

async function readRunFile(dataFolder: string): Promise<RunFile> {
  return JSON.parse(await readFile(join(dataFolder, 'run.json'), 'utf8')) as RunFile;
}
