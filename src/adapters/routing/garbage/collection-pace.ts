import { LIMITS } from '#domain/limits.ts';

/**
 * When garbage is collected: after so many revisions, in a moment without publications. A round makes the storage list
 * its keys, which takes tens of milliseconds, and a move that is published meanwhile would wait for it. Where there is
 * no such moment for three times as many revisions, it begins all the same.
 */
export class CollectionPace {
  readonly #everyCount: number;
  readonly #collect: () => Promise<void>;
  #dueAtRevision: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isCollecting = false;

  /** @param collect must not throw */
  constructor(everyCount: number, collect: () => Promise<void>) {
    this.#everyCount = everyCount;
    this.#collect = collect;
  }

  /** A revision was published by this process. */
  published(revision: number): void {
    if (revision % this.#everyCount === 0) this.#dueAtRevision ??= revision;
    if (this.#dueAtRevision === undefined) return;
    clearTimeout(this.#timer);
    if (revision - this.#dueAtRevision >= LIMITS.routingGarbageOverdueRounds * this.#everyCount) this.#begin();
    // Nobody is kept from ending by it: the next process to publish collects.
    else this.#timer = setTimeout(() => this.#begin(), LIMITS.routingGarbageQuietMs).unref();
  }

  #begin(): void {
    if (this.#isCollecting) return;
    this.#isCollecting = true;
    this.#dueAtRevision = undefined;
    void this.#collect().finally(() => {
      this.#isCollecting = false;
    });
  }
}
