import { LIMITS } from '#domain/limits.ts';
import { RevisionTimes } from '#domain/routing/swap/revision-times.ts';
import { type AuthzSwapFacts, parseSwapQuestion } from '#domain/routing/swap/swap-facts.ts';
import type { Clock } from '#ports/clock.ts';

/**
 * Remembers since when this replica holds each routing revision, and the first and the last request it decided by it,
 * of the newest `swapRecordsMaxCount` revisions. A request costs three writes into arrays and makes no object.
 */
export class RevisionUse {
  readonly #clock: Clock;
  readonly #sinceMs: number;
  readonly #size: number;
  /** A revision's slot is its number modulo the size; 0 = a slot not used yet. */
  readonly #revisions: Float64Array;
  readonly #firsts: Float64Array;
  readonly #lasts: Float64Array;
  readonly #counts: Float64Array;
  #held: RevisionTimes;

  constructor(clock: Clock, maxCount: number = LIMITS.swapRecordsMaxCount) {
    this.#clock = clock;
    this.#sinceMs = clock.nowMs();
    this.#size = maxCount;
    this.#revisions = new Float64Array(this.#size);
    this.#firsts = new Float64Array(this.#size);
    this.#lasts = new Float64Array(this.#size);
    this.#counts = new Float64Array(this.#size);
    this.#held = new RevisionTimes(this.#size);
  }

  /** This replica decides by `revision` from now on. A number that went back is another history: the old one is forgotten. */
  held(revision: number): void {
    if (revision < (this.#held.newest?.revision ?? 0)) {
      this.#held = new RevisionTimes(this.#size);
      this.#revisions.fill(0);
    }
    this.#held.add(revision, this.#clock.nowMs());
  }

  /** A request was decided by `revision`; `atMs` is the time of day. */
  decided(revision: number, atMs: number): void {
    const slot = revision % this.#size;
    const kept = this.#revisions[slot] ?? 0;
    if (kept !== revision) {
      // An Envoy that is very far behind does not take the slot of a newer revision.
      if (kept > revision) return;
      this.#revisions[slot] = revision;
      this.#firsts[slot] = atMs;
      this.#counts[slot] = 0;
    }
    this.#lasts[slot] = atMs;
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
  }

  /** What is known of a revision. */
  facts(revision: number): AuthzSwapFacts {
    const slot = revision % this.#size;
    const held = this.#held.reached(revision);
    const isUsed = revision > 0 && this.#revisions[slot] === revision;
    return {
      sinceMs: this.#sinceMs,
      ...(held === undefined ? {} : { held }),
      ...(isUsed
        ? {
            decided: {
              firstAtMs: this.#firsts[slot] ?? 0,
              lastAtMs: this.#lasts[slot] ?? 0,
              count: this.#counts[slot] ?? 0,
            },
          }
        : {}),
    };
  }

  /** The answer to SWAP_QUESTION. */
  readonly answer = (body: unknown): AuthzSwapFacts | undefined => {
    const question = parseSwapQuestion(body);
    return question && this.facts(question.revision);
  };
}
