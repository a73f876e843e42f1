import { LIMITS } from '../limits.ts';

/**
 * At most `requests` at once, and as many again in every window; what was spent comes back evenly, not at the end of the
 * window. Over any time t nobody gets more than `requests + requests * t / windowMs`.
 */
export interface RateLimit {
  readonly requests: number;
  /** Whole seconds, in milliseconds. */
  readonly windowMs: number;
}

/**
 * What one caller has left. Counted in units that keep every step a whole number: a millisecond brings `requests` units,
 * and a request costs `windowMs` of them.
 */
export interface Bucket {
  units: number;
  /** Milliseconds of a monotonic clock. */
  atMs: number;
}

/** When it is, and how many replicas share the limit: each grants its part, so that together they keep it. */
export interface Moment {
  readonly nowMs: number;
  readonly sharers: number;
}

/** The units one request costs here: among n replicas each has an n-th of the limit, so a request costs n times as much. */
const costOf = (limit: RateLimit, { sharers }: Moment): number => limit.windowMs * sharers;

/** A full bucket. One request always fits, also where the limit is smaller than the number of replicas. */
const capacityOf = (limit: RateLimit, { sharers }: Moment): number =>
  limit.windowMs * Math.max(limit.requests, sharers);

/** A bucket nothing was taken from. */
export const fullBucket = (limit: RateLimit, moment: Moment): Bucket => ({
  units: capacityOf(limit, moment),
  atMs: moment.nowMs,
});

/** Brings a bucket to the present. A clock that went back brings nothing and takes nothing. */
function refill(bucket: Bucket, limit: RateLimit, moment: Moment): void {
  const capacity = capacityOf(limit, moment);
  const elapsedMs = moment.nowMs - bucket.atMs;
  if (elapsedMs > 0) {
    // Exact as long as it does not fill the bucket: a full one is far below what a number holds exactly.
    bucket.units += elapsedMs * limit.requests;
    bucket.atMs = moment.nowMs;
  }
  if (bucket.units > capacity) bucket.units = capacity;
}

/**
 * Takes one request out of a bucket. @returns 0 when it fits; else the milliseconds until it will, if nobody else takes
 * from the bucket, and nothing is taken.
 */
export function take(bucket: Bucket, limit: RateLimit, moment: Moment): number {
  refill(bucket, limit, moment);
  const cost = costOf(limit, moment);
  if (bucket.units >= cost) {
    bucket.units -= cost;
    return 0;
  }
  return Math.ceil((cost - bucket.units) / limit.requests);
}

/** Whether the bucket is as good as a new one by now: forgetting it gives nobody anything. */
export function isFull(bucket: Bucket, limit: RateLimit, moment: Moment): boolean {
  refill(bucket, limit, moment);
  return bucket.units === capacityOf(limit, moment);
}

/** The requests that all replicas together would still let through now, as this one sees it. */
export const remaining = (bucket: Bucket, limit: RateLimit): number => Math.floor(bucket.units / limit.windowMs);

/** Milliseconds until the bucket is full again. */
export const fullAfterMs = (bucket: Bucket, limit: RateLimit, moment: Moment): number =>
  Math.ceil((capacityOf(limit, moment) - bucket.units) / limit.requests);

/** How large a setting may make a limit: every product of its numbers stays a whole number. */
export const RATE_BOUNDS = {
  requestsMax: LIMITS.rateRequestsMaxCount,
  secondsMax: LIMITS.rateWindowMaxMs / 1_000,
} as const;
