import { LIMITS } from '#domain/limits.ts';

interface Waiter {
  readonly revision: number;
  readonly end: () => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Requests whose stamped routing revision has not arrived here yet. Bounded in time and in number; whoever does not
 * fit is answered at once.
 */
export class StampWaiters implements Disposable {
  readonly #waiting = new Set<Waiter>();
  readonly #maxCount: number;
  readonly #maxMs: number;

  constructor(options: { readonly maxCount?: number; readonly maxMs?: number } = {}) {
    this.#maxCount = options.maxCount ?? LIMITS.stampWaitersMaxCount;
    this.#maxMs = options.maxMs ?? LIMITS.stampWaitMaxMs;
  }

  count(): number {
    return this.#waiting.size;
  }

  /**
   * Waits for a revision.
   * @param end is called once, when it is there or the time is up; never once the wait was given up
   * @returns a function that gives the wait up, or undefined when there is no room
   */
  wait(revision: number, end: () => void): (() => void) | undefined {
    if (this.#waiting.size >= this.#maxCount) return undefined;
    const waiter: Waiter = { revision, end, timer: setTimeout(() => this.#finish(waiter), this.#maxMs) };
    this.#waiting.add(waiter);
    return () => {
      clearTimeout(waiter.timer);
      this.#waiting.delete(waiter);
    };
  }

  /** Everything up to this revision has arrived. */
  arrived(revision: number): void {
    for (const waiter of this.#waiting) {
      if (waiter.revision <= revision) this.#finish(waiter);
    }
  }

  /** Ends all waits as if their time were up. */
  [Symbol.dispose](): void {
    for (const waiter of this.#waiting) this.#finish(waiter);
  }

  #finish(waiter: Waiter): void {
    clearTimeout(waiter.timer);
    if (this.#waiting.delete(waiter)) waiter.end();
  }
}
