import { LIMITS } from '../../limits.ts';

/** A revision and when something happened to it, in milliseconds since 1970. */
export interface RevisionTime {
  readonly revision: number;
  readonly atMs: number;
}

/**
 * When each newer revision was reached, in rising order: the newest `swapRecordsMaxCount` of them. Revisions may be
 * skipped; who reached 9 after 6 has 7 and 8 from then on too.
 */
export class RevisionTimes {
  readonly #maxCount: number;
  #revisions: number[] = [];
  #times: number[] = [];

  constructor(maxCount: number = LIMITS.swapRecordsMaxCount) {
    this.#maxCount = maxCount;
  }

  get newest(): RevisionTime | undefined {
    return this.#at(this.#revisions.length - 1);
  }

  /** Ignored unless it is newer than all before: the first time counts. */
  add(revision: number, atMs: number): void {
    if (revision <= (this.#revisions.at(-1) ?? 0)) return;
    this.#revisions.push(revision);
    this.#times.push(atMs);
    // Cut now and then instead of shifted each time.
    if (this.#revisions.length < 2 * this.#maxCount) return;
    this.#revisions = this.#revisions.slice(-this.#maxCount);
    this.#times = this.#times.slice(-this.#maxCount);
  }

  /** When `revision` or the next newer one was reached first; undefined when not yet, or it is older than all kept. */
  reached(revision: number): RevisionTime | undefined {
    const first = Math.max(0, this.#revisions.length - this.#maxCount);
    if (revision < (this.#revisions[first] ?? Number.POSITIVE_INFINITY)) return undefined;
    let low = first;
    let high = this.#revisions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#revisions[middle] ?? 0) < revision) low = middle + 1;
      else high = middle;
    }
    return this.#at(low);
  }

  #at(index: number): RevisionTime | undefined {
    const revision = this.#revisions[index];
    const atMs = this.#times[index];
    return revision === undefined || atMs === undefined ? undefined : { revision, atMs };
  }
}
