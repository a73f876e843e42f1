import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ServiceKind } from '#domain/ids.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const START_DEADLINE_MS = 20_000;
/** Log lines kept for a failure message. */
const LINES_MAX_COUNT = 200;

/** A reference node in a process of its own, as the launcher runs it. */
export interface NodeProcess extends AsyncDisposable {
  readonly kind: ServiceKind;
  readonly shard: string;
  readonly port: number;
  /** host:port */
  readonly address: string;
  readonly child: ChildProcess;
  /** Its log lines so far, the latest last. */
  readonly lines: readonly string[];
  /** SIGTERM and wait; answers the exit code. */
  stop(): Promise<number | null>;
}

/**
 * Starts a node on a free port of loopback (or on `port`) and waits until it listens.
 * @throws Error with its output when it does not
 */
export async function startNodeProcess(kind: ServiceKind, shard: string, port = 0): Promise<NodeProcess> {
  const child = spawn(process.execPath, [MAIN], {
    env: { ...process.env, NODE_KIND: kind, NODE_SHARD: shard, NODE_LISTEN: `127.0.0.1:${port}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  const bound = await new Promise<number>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`node ${kind}/${shard} ${why}:\n${lines.join('\n')}`));
    const overdue = setTimeout(() => fail('did not listen in time'), START_DEADLINE_MS);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (lines.length > LINES_MAX_COUNT) lines.shift();
        const found = listeningPort(line);
        if (found === undefined) return;
        clearTimeout(overdue);
        resolve(found);
      });
    }
    child.once('exit', (code) => {
      clearTimeout(overdue);
      fail(`exited with ${code}`);
    });
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });

  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await exited;
    }
    return child.exitCode;
  };
  return {
    kind,
    shard,
    port: bound,
    address: `127.0.0.1:${bound}`,
    child,
    lines,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

/** The port in the log line "listening". */
function listeningPort(line: string): number | undefined {
  try {
    const { msg, address } = Object(JSON.parse(line));
    return msg === 'listening' && typeof address === 'string' ? Number(address.split(':').at(-1)) : undefined;
  } catch {
    return undefined;
  }
}
