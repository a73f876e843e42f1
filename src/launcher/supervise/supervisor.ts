import type { Clock } from '#ports/clock.ts';
import { type BackoffRules, nextBackoffMs, RESTART_BACKOFF } from './restart-backoff.ts';

/** How a process ended. */
export type Ending =
  | { readonly code: number }
  | { readonly signal: string }
  /** It could not even be started. */
  | { readonly error: string };

/** A process that was started. */
export interface StartedProcess {
  readonly pid: number;
  readonly ended: Promise<Ending>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/** Time as the supervisor needs it; a test drives it by hand. */
export interface Timers extends Clock {
  /** Resolves after the time, or early when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export type SupervisorEvent =
  | { readonly type: 'started'; readonly pid: number; readonly again: boolean }
  | { readonly type: 'ended'; readonly ending: Ending; readonly restartInMs: number }
  | { readonly type: 'killed'; readonly afterMs: number };

export interface SupervisorOptions {
  readonly start: () => Promise<StartedProcess>;
  readonly timers: Timers;
  readonly onEvent: (event: SupervisorEvent) => void;
  /** Time a child gets to end after SIGTERM before SIGKILL. */
  readonly stopBoundMs: number;
  readonly backoff?: BackoffRules;
}

/**
 * Keeps one child running until it is told to stop.
 *
 * States: idle -> running -> waiting (it died; the backoff runs) -> running ... -> stopping -> stopped.
 * `stop` leads to stopped from every state; nothing is started after it was called.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #backoff: BackoffRules;
  readonly #stopping = new AbortController();
  #process: StartedProcess | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? RESTART_BACKOFF;
  }

  /** The process id while one runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts the child and keeps it running. What happens is told by events. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Ends the child: SIGTERM, after the bound SIGKILL. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const running = this.#process;
    if (running !== undefined) await this.#end(running);
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { timers, onEvent } = this.#options;
    let waitedMs = 0;
    for (let again = false; !this.#stopping.signal.aborted; again = true) {
      const startedAtMs = timers.nowMs();
      const ending = await this.#runOnce(again);
      if (this.#stopping.signal.aborted) return;
      waitedMs = nextBackoffMs(this.#backoff, waitedMs, timers.nowMs() - startedAtMs);
      onEvent({ type: 'ended', ending, restartInMs: waitedMs });
      await timers.sleep(waitedMs, this.#stopping.signal);
    }
  }

  async #runOnce(again: boolean): Promise<Ending> {
    try {
      const started = await this.#options.start();
      this.#process = started;
      // stop() may have come while the process was being started and found nothing to end.
      if (this.#stopping.signal.aborted) await this.#end(started);
      else this.#options.onEvent({ type: 'started', pid: started.pid, again });
      return await started.ended;
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    } finally {
      this.#process = undefined;
    }
  }

  async #end(running: StartedProcess): Promise<void> {
    const { timers, stopBoundMs, onEvent } = this.#options;
    const gone = new AbortController();
    const ended = running.ended.then(() => gone.abort());
    running.kill('SIGTERM');
    await Promise.race([ended, timers.sleep(stopBoundMs, gone.signal)]);
    if (!gone.signal.aborted) {
      onEvent({ type: 'killed', afterMs: stopBoundMs });
      running.kill('SIGKILL');
    }
    await ended;
  }
}
