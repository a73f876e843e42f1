import { availableParallelism, setPriority } from 'node:os';
import { LIMITS } from '#domain/limits.ts';
import { EnvReader } from '#platform/env.ts';
import { createLog, type Log } from '#platform/log.ts';
import { runProgram } from '#platform/program.ts';
import { loadEngine } from './engines.ts';
import { listenOnSocket } from './listen.ts';
import { createHasherServer } from './server.ts';
import { WorkQueue } from './work-queue.ts';

/**
 * The hasher: Argon2id in a process of its own, because password hashing would starve the thread pool and the cores
 * that decide about requests. Half of the cores, low priority, a bounded queue.
 */
let log: Log | undefined;
/** Of 19: hashing yields to everything that decides requests. */
const NICENESS = 10;

await runProgram({
  drainMs: LIMITS.hashTimeoutMs,
  log: () => log,
  start: async () => {
    const env = new EnvReader(process.env);
    const socket = env.text('GATEWAY_HASHER_SOCKET');
    const level = env.text('GATEWAY_LOG_LEVEL', 'info');
    env.finish();
    log = createLog({ service: 'hasher', level });

    setPriority(NICENESS);
    const engine = await loadEngine();
    const inFlightMax = Math.max(1, Math.floor(availableParallelism() / 2));
    const queue = new WorkQueue({ inFlightMax, waitingMax: LIMITS.hashQueueMaxCount });
    const server = await createHasherServer({ engine, queue });
    await listenOnSocket(server, socket);
    log.info({ socket, engine: engine.name, inFlightMax }, 'ready');

    return {
      [Symbol.asyncDispose]: () =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeIdleConnections();
        }),
    };
  },
});
