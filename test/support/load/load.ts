import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LoadAnswer, LoadMessage, LoadSpec } from './load-answer.ts';

const WORKER = fileURLToPath(new URL('./load-worker.ts', import.meta.url));
/** The last answer and the report of it: the timeout of a request and more. */
const STOP_DEADLINE_MS = 25_000;

/** A steady load on a gateway. */
export interface Load extends AsyncDisposable {
  /** What has been answered so far, in order of the answers. */
  readonly answers: readonly LoadAnswer[];
  /** Asks no more, and waits for the last answer. */
  stop(): Promise<void>;
}

/** Starts a load in a process of its own. @throws Error from `stop` when that process ended by itself */
export function startLoad(spec: LoadSpec): Load {
  const child = fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = once(child, 'exit');
  const answers: LoadAnswer[] = [];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  child.on('message', (message: LoadMessage) => {
    if ('isDone' in message) resolve();
    else answers.push(...message.answers);
  });
  child.send(spec);
  return {
    answers,
    async stop() {
      child.send('stop');
      const died = ended.then(() => Promise.reject(new Error(`the load ended with ${child.exitCode}`)));
      const overdue = new Promise<never>((_, reject) => {
        setTimeout(() => reject(new Error('the load does not end')), STOP_DEADLINE_MS).unref();
      });
      await Promise.race([done, died, overdue]);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
