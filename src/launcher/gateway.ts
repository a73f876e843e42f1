import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, clearTheWay, type Stage } from './children.ts';
import { type Console, describeEnding } from './console.ts';
import { StartError } from './start-error.ts';
import { readTail } from './supervise/log-file.ts';
import { realTimers, startProcess } from './supervise/start-process.ts';
import { Supervisor, type SupervisorEvent } from './supervise/supervisor.ts';

const READY_BOUND_MS = 60_000;
const READY_POLL_MS = 15;
const STOP_BOUND_MS = 5_000;
const TAIL_LINES = 20;
const STAGES: readonly Stage[] = ['storage', 'services', 'edge'];

export interface GatewayOptions {
  readonly children: readonly Child[];
  readonly console: Console;
  /** Between the storage and the services: work that needs the storage. It goes on beside the services' start. */
  readonly afterStorage: () => Promise<void>;
  /** The last thing before Envoy is ended. */
  readonly drain: () => Promise<void>;
  /** A child was started or ended: the process ids have changed. */
  readonly onPids: () => void;
}

interface Kept {
  readonly child: Child;
  readonly supervisor: Supervisor;
  /** Where the output of the first start begins in the log. */
  logFrom: number;
}

/** The children of the development gateway, started and stopped in order, restarted when they die. */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #kept: readonly Kept[];
  readonly #startFailed = Promise.withResolvers<never>();
  #phase: 'starting' | 'running' | 'stopping' = 'starting';

  constructor(options: GatewayOptions) {
    this.#options = options;
    // A failure may come when nobody waits for it (after the start was given up for another reason).
    this.#startFailed.promise.catch(() => {});
    this.#kept = options.children.map((child) => this.#keep(child));
  }

  /** Process ids of the running children by name. */
  pids(): Readonly<Record<string, number>> {
    const pairs = this.#kept.flatMap(({ child, supervisor }) =>
      supervisor.pid === undefined ? [] : [[child.name, supervisor.pid] as const],
    );
    return Object.fromEntries(pairs);
  }

  /**
   * Starts everything; resolves when requests are served.
   * @throws StartError with the end of the log of the child that failed; AbortError when `signal` came first
   */
  async start(signal: AbortSignal): Promise<void> {
    const giveUp = new AbortController();
    const sequence = this.#startInOrder(AbortSignal.any([signal, giveUp.signal]));
    try {
      await Promise.race([sequence, this.#startFailed.promise]);
      this.#phase = 'running';
    } finally {
      giveUp.abort();
      await sequence.catch(() => {});
    }
  }

  /** Ends everything in reverse order. */
  async stop(): Promise<void> {
    const served = this.#phase === 'running';
    this.#phase = 'stopping';
    if (served) await this.#options.drain();
    for (const stage of STAGES.toReversed()) {
      await Promise.all(this.#of(stage).map(({ supervisor }) => supervisor.stop()));
    }
  }

  async #startInOrder(signal: AbortSignal): Promise<void> {
    await this.#startStage('storage', signal);
    const seeded = Promise.race([this.#options.afterStorage(), aborted(signal)]);
    await Promise.all([seeded, this.#startStage('services', signal)]);
    await this.#startStage('edge', signal);
  }

  async #startStage(stage: Stage, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const kept = this.#of(stage);
    for (const { supervisor } of kept) supervisor.start();
    await Promise.all(kept.map((each) => this.#untilReady(each, signal)));
  }

  async #untilReady(kept: Kept, signal: AbortSignal): Promise<void> {
    const endsAt = performance.now() + READY_BOUND_MS;
    while (!(await kept.child.ready())) {
      if (performance.now() > endsAt) {
        throw new StartError(`${kept.child.name} was not ready after ${READY_BOUND_MS / 1_000} s\n${tailOf(kept)}`);
      }
      await sleep(READY_POLL_MS, undefined, { signal });
    }
  }

  #keep(child: Child): Kept {
    const kept: Kept = {
      child,
      logFrom: 0,
      supervisor: new Supervisor({
        start: async () => {
          await clearTheWay(child);
          const started = await startProcess(child.command);
          if (this.#phase === 'starting') kept.logFrom = started.logStartsAt;
          return started;
        },
        timers: realTimers,
        stopBoundMs: STOP_BOUND_MS,
        onEvent: (event) => this.#onEvent(kept, event),
      }),
    };
    return kept;
  }

  #onEvent(kept: Kept, event: SupervisorEvent): void {
    const { console, onPids } = this.#options;
    const { name } = kept.child;
    if (event.type === 'killed') {
      console.warn(`${name} did not end within ${event.afterMs / 1_000} s and was killed`);
      return;
    }
    if (event.type === 'started') {
      if (event.again) console.say(`${name} runs again (process ${event.pid})`);
    } else if (this.#phase === 'starting') {
      // A program that cannot even start once will not start the next time: say why instead of trying for ever.
      this.#startFailed.reject(new StartError(`${name} ${describeEnding(event.ending)}\n${tailOf(kept)}`));
    } else {
      const wait = `${event.restartInMs / 1_000} s`;
      console.warn(
        `${name} ${describeEnding(event.ending)}; starting it again in ${wait} (${kept.child.command.logFile})`,
      );
    }
    onPids();
  }

  #of(stage: Stage): readonly Kept[] {
    return this.#kept.filter(({ child }) => child.stage === stage);
  }
}

/** Never resolves; rejects when the signal aborts. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

function tailOf({ child, logFrom }: Kept): string {
  const { logFile } = child.command;
  const lines = readTail(logFile, logFrom, TAIL_LINES);
  return lines.length === 0
    ? `(nothing in ${logFile})`
    : `the end of ${logFile}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
