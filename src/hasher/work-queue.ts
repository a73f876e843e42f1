/** The queue is full: the caller is told at once instead of waiting for an answer that comes too late. */
export class QueueFullError extends Error {
  constructor() {
    super('the hash queue is full');
    this.name = 'QueueFullError';
  }
}

/** Runs jobs in order, at most `inFlightMax` at a time, with at most `waitingMax` more waiting. */
export class WorkQueue {
  readonly #inFlightMax: number;
  readonly #waitingMax: number;
  readonly #waiting: (() => void)[] = [];
  #inFlight = 0;

  constructor(options: { readonly inFlightMax: number; readonly waitingMax: number }) {
    this.#inFlightMax = options.inFlightMax;
    this.#waitingMax = options.waitingMax;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Runs `job` when its turn comes. A job whose caller went away (`signal`) while it waited is dropped before it costs
   * anything. @throws QueueFullError; the signal's reason; whatever the job throws
   */
  async run<Value>(job: () => Promise<Value>, signal?: AbortSignal): Promise<Value> {
    if (this.#inFlight >= this.#inFlightMax) {
      if (this.#waiting.length >= this.#waitingMax) throw new QueueFullError();
      await this.#turn(signal);
    } else {
      this.#inFlight += 1;
    }
    try {
      return await job();
    } finally {
      this.#release();
    }
  }

  /** Waits for a place; the one who releases it hands it over, so nobody can slip in between. */
  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        const index = this.#waiting.indexOf(enter);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(signal?.reason ?? new Error('aborted'));
      };
      const enter = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#inFlight -= 1;
    else next();
  }
}
