import { type Bucket, fullBucket, isFull, type Moment, type RateLimit, take } from './rate-limit.ts';

interface TableOptions {
  readonly limit: RateLimit;
  /** Callers that have a bucket of their own. */
  readonly maxCount: number;
  /** Buckets that the rest shares. */
  readonly sharedCount: number;
  /** A random number, so that nobody can tell which callers share a bucket. */
  readonly seed: number;
}

/** Buckets looked at for each new one: more than are added, so that those which are full again go. */
const SWEPT_PER_NEW = 4;

/**
 * The buckets of one kind of caller, bounded. A bucket is forgotten only when it is full again, which is as good as a new
 * one: nobody gets rid of what he has spent by making the table forget him, and nobody loses his place to others. When
 * all of a full table are in use, callers without a bucket share the spare ones, each by a hash of its key.
 */
export class RateTable {
  readonly #buckets = new Map<string, Bucket>();
  readonly #shared: (Bucket | undefined)[];
  readonly #options: TableOptions;
  #sweep: Iterator<[string, Bucket]>;

  constructor(options: TableOptions) {
    this.#options = options;
    this.#shared = Array.from({ length: options.sharedCount });
    this.#sweep = this.#buckets.entries();
  }

  /** The bucket that the last `take` took from; valid until the next. */
  last: Bucket = { units: 0, atMs: 0 };
  /** Whether that one is shared with others. */
  lastIsShared = false;

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one request. @returns 0, or the milliseconds until one fits */
  take(key: string, moment: Moment): number {
    this.lastIsShared = false;
    const bucket = this.#buckets.get(key) ?? this.#admit(key, moment);
    this.last = bucket;
    return take(bucket, this.#options.limit, moment);
  }

  #admit(key: string, moment: Moment): Bucket {
    const { limit, maxCount, sharedCount, seed } = this.#options;
    this.#forget(moment);
    const at = hash(key, seed) % sharedCount;
    const shared = this.#shared[at];
    this.lastIsShared = this.#buckets.size >= maxCount;
    if (this.lastIsShared) {
      const bucket = shared ?? fullBucket(limit, moment);
      this.#shared[at] = bucket;
      return bucket;
    }
    // Whoever shared a bucket takes over what is left in it, not a full one.
    const bucket = shared === undefined ? fullBucket(limit, moment) : { ...shared };
    this.#buckets.set(key, bucket);
    return bucket;
  }

  /** Forgets a few that are full again; goes round the table, a few with every new caller. */
  #forget(moment: Moment): void {
    for (let looked = 0; looked < SWEPT_PER_NEW; looked += 1) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = this.#buckets.entries();
        return;
      }
      const [key, bucket] = next.value;
      if (isFull(bucket, this.#options.limit, moment)) this.#buckets.delete(key);
    }
  }
}

/** FNV-1a over the UTF-16 units, from a seed. */
function hash(key: string, seed: number): number {
  let value = (0x811c9dc5 ^ seed) >>> 0;
  for (let index = 0; index < key.length; index += 1) {
    value = Math.imul(value ^ key.charCodeAt(index), 0x01000193) >>> 0;
  }
  return value;
}
