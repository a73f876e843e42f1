import type { World } from '../model/world.ts';

/**
 * How one process learns of revisions: each after a while, in order; when several came meanwhile it may take the newest
 * at once, as a reader of the store does that finds only the newest head.
 */
export class Follower {
  readonly #world: World;
  readonly #apply: (revision: number) => void;
  #known: number;
  #isWaiting = false;
  #isStopped = false;
  #pausedUntilMs = 0;

  /** @param known the revision held already; -1 for none */
  constructor(world: World, known: number, apply: (revision: number) => void) {
    this.#world = world;
    this.#known = known;
    this.#apply = apply;
    this.look();
  }

  /** Something may have been published. */
  look(): void {
    const { history, scheduler, nowMs } = this.#world;
    if (this.#isWaiting || this.#isStopped || history.newestNumber <= this.#known) return;
    this.#isWaiting = true;
    scheduler.after(Math.max(this.#world.delayMs(), this.#pausedUntilMs - nowMs), () => this.#take());
  }

  /** Learns nothing for a while, as if the store were away. */
  pause(lastingMs: number): void {
    this.#pausedUntilMs = this.#world.nowMs + lastingMs;
  }

  stop(): void {
    this.#isStopped = true;
  }

  #take(): void {
    if (this.#isStopped) return;
    const { history, random } = this.#world;
    this.#known = random.chance(0.3) ? history.newestNumber : this.#known + 1;
    this.#isWaiting = false;
    this.#apply(this.#known);
    this.look();
  }
}
