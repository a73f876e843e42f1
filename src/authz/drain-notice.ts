import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '#domain/limits.ts';

const LOOK_EVERY_MS = 25;
/** After everybody has heard, calls that were on their way arrive within this time. */
const QUIET_MS = 250;
const ASKERS_MAX_COUNT = 1_000;

/**
 * The time between "I am going" and going. Envoys ask for the health of a replica, each on a connection of its own, and
 * send it nothing more once they have heard that it goes: until then it must serve as before, or requests are lost.
 *
 * States: serving -> leaving, by `begin`, and never back.
 */
export class DrainNotice {
  readonly #nowMs: () => number;
  /** Who asked and was not told yet that this replica goes, by their connections. */
  readonly #untold = new Map<string, { readonly askedAtMs: number }>();
  #isLeaving = false;
  /** When somebody called, or heard for the first time that this replica goes. */
  #lastEventMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** From now on health answers say no. */
  begin(): void {
    this.#isLeaving = true;
  }

  /** Somebody asks for the health of this replica and is told the truth. @param peer names the connection */
  asked(peer: string): void {
    const nowMs = this.#nowMs();
    const wasUntold = this.#untold.delete(peer);
    if (this.#isLeaving) {
      if (wasUntold) this.#lastEventMs = nowMs;
      return;
    }
    // Whoever asked last is the last in the map, so that the first are the ones to forget.
    this.#untold.set(peer, { askedAtMs: nowMs });
    for (const [name, { askedAtMs }] of this.#untold) {
      if (this.#untold.size <= ASKERS_MAX_COUNT && nowMs - askedAtMs <= LIMITS.drainNoticeMaxMs) break;
      this.#untold.delete(name);
    }
  }

  /** A connection has ended: nobody asks on it again. */
  gone(peer: string): void {
    this.#untold.delete(peer);
  }

  /** A request came that is no question of health. */
  called(): void {
    this.#lastEventMs = this.#nowMs();
  }

  /** Whether all who asked of late have heard that this replica goes, and nobody has called for a moment. */
  isNoticed(): boolean {
    return this.#isLeaving && this.#untold.size === 0 && this.#nowMs() - this.#lastEventMs >= QUIET_MS;
  }

  /** Begins, and waits until it is noticed, until nobody is connected, or for `drainNoticeMaxMs`. */
  async untilNoticed(connectionsCount: () => number | Promise<number>): Promise<void> {
    this.begin();
    const endsAtMs = this.#nowMs() + LIMITS.drainNoticeMaxMs;
    while (this.#nowMs() < endsAtMs && !this.isNoticed() && (await connectionsCount()) > 0) await sleep(LOOK_EVERY_MS);
  }
}
