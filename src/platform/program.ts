import { ConfigurationError } from './env.ts';
import type { Log } from './log.ts';

/**
 * Runs one program: `start` composes it and returns what must be ended on SIGTERM or SIGINT, last started first ended.
 * A signal during the start aborts `shutdown`; whoever waits there (for storage that is away) should give up by it.
 * Exit codes: 0 after a clean end, 1 when starting failed or ending took longer than `drainMs`, 2 on bad configuration.
 */
export async function runProgram(options: {
  readonly drainMs: number;
  readonly log: () => Log | undefined;
  readonly start: (shutdown: AbortSignal) => Promise<AsyncDisposable>;
}): Promise<void> {
  const shutdown = new AbortController();
  const stopped = new Promise<'stopped'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        options.log()?.info({ signal }, 'stopping');
        shutdown.abort();
        setTimeout(() => {
          options.log()?.error({ drainMs: options.drainMs }, 'ending took too long');
          process.exit(1);
        }, options.drainMs).unref();
        resolve('stopped');
      });
    }
  });
  try {
    const starting = options.start(shutdown.signal);
    const running = await Promise.race([starting, stopped]);
    // Nothing serves yet: what was opened so far ends with the process.
    if (running === 'stopped') process.exit(0);
    await stopped;
    await running[Symbol.asyncDispose]();
    process.exit(0);
  } catch (error) {
    if (error instanceof ConfigurationError) {
      process.stderr.write(`${error.message}\n`);
      process.exit(2);
    }
    options.log()?.fatal({ err: error }, 'cannot start');
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  }
}
