import type { Failure, Outcome } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { fail } from '#domain/result.ts';

/** How long to stay away from a full queue: about what a hundred publications take. */
const RETRY_AFTER_SECONDS = 1;

interface TurnsOptions {
  readonly waitingMaxCount?: number;
  readonly waitMaxMs?: number;
}

/**
 * Runs one piece of work after another, in the order they came. Who finds `waitingMaxCount` others waiting, or waits
 * longer than `waitMaxMs`, is refused as `overloaded`, and its work is then never begun: a caller that was told "no"
 * must not see it happen later.
 */
export class Turns {
  readonly #waitingMaxCount: number;
  readonly #waitMaxMs: number;
  /** In the order they came; a Set, because those whose time is up leave from the middle. */
  readonly #waiting = new Set<() => void>();
  #busy = false;

  constructor({
    waitingMaxCount = LIMITS.publicationsWaitingMaxCount,
    waitMaxMs = LIMITS.publicationWaitMaxMs,
  }: TurnsOptions = {}) {
    this.#waitingMaxCount = waitingMaxCount;
    this.#waitMaxMs = waitMaxMs;
  }

  /** The outcome of `work`, or `overloaded`. Work that takes a turn itself would wait for its own end: it must not. */
  async take<Value>(work: () => Promise<Outcome<Value>>): Promise<Outcome<Value>> {
    if (!(await this.#begin())) return overloaded();
    try {
      return await work();
    } finally {
      this.#end();
    }
  }

  /** False when the turn did not come. */
  #begin(): Promise<boolean> {
    if (!this.#busy) {
      this.#busy = true;
      return Promise.resolve(true);
    }
    if (this.#waiting.size >= this.#waitingMaxCount) return Promise.resolve(false);
    return new Promise((resolve) => {
      const start = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(start);
        resolve(false);
      }, this.#waitMaxMs);
      this.#waiting.add(start);
    });
  }

  #end(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#busy = false;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

const overloaded = () =>
  fail<Failure>({
    code: 'overloaded',
    detail: 'Too many publications wait for their turn; nothing was published',
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
