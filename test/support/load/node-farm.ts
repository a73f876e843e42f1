import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LoadKind } from './load-answer.ts';

const WORKER = fileURLToPath(new URL('./node-farm-worker.ts', import.meta.url));

export interface FarmRequest {
  readonly number: number;
  readonly kind: LoadKind;
  readonly shard: string;
  /** Ends the node after this time; absent: starts it. */
  readonly endAfterMs?: number;
}

export interface FarmAnswer {
  readonly number: number;
  readonly port?: number;
  readonly error?: string;
}

/**
 * Reference nodes by the hundred, in one process: a shard that a test adds is a server of its own, with its own port,
 * name and memory of epochs, without the cost of a process for each.
 */
export interface NodeFarm extends AsyncDisposable {
  /** Starts a node. @returns its port on loopback */
  start(kind: LoadKind, shard: string): Promise<number>;
  /** Ends a node some time from now, whether or not anybody still uses it. */
  endLater(kind: LoadKind, shard: string, afterMs: number): void;
}

/** Starts the process of a farm. */
export function startNodeFarm(): NodeFarm {
  const child = fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = once(child, 'exit');
  const waiting = new Map<number, PromiseWithResolvers<number>>();
  let sent = 0;
  child.on('message', ({ number, port, error }: FarmAnswer) => {
    const request = waiting.get(number);
    waiting.delete(number);
    if (error === undefined) request?.resolve(port ?? 0);
    else request?.reject(new Error(error));
  });
  child.once('exit', () => {
    for (const request of waiting.values()) request.reject(new Error('the nodes have ended'));
  });
  return {
    start(kind, shard) {
      const answer = Promise.withResolvers<number>();
      sent += 1;
      waiting.set(sent, answer);
      child.send({ number: sent, kind, shard } satisfies FarmRequest);
      return answer.promise;
    },
    endLater(kind, shard, afterMs) {
      sent += 1;
      child.send({ number: sent, kind, shard, endAfterMs: afterMs } satisfies FarmRequest);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
