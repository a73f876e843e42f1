import { IAM_SCHEMA, type SignInFailuresRecord } from './records.ts';

/** How failures of one kind of guesser make it wait. */
export interface FailurePolicy {
  /** Failures in a row that cost nothing. The last of them begins the first delay. */
  readonly freeFailures: number;
  /** The delay doubles with every failure beyond, up to the largest: growing, but nobody is locked out for ever. */
  readonly firstDelayMs: number;
  readonly delayMaxMs: number;
  /** One failure is forgiven in so long a time. */
  readonly forgiveEveryMs: number;
}

/**
 * What the failures so far mean for the next attempt: it goes ahead; it goes ahead once it is counted as failed, so that
 * only one of several does; or it must wait.
 */
export type FailureVerdict =
  | { readonly kind: 'free' }
  | { readonly kind: 'reserve' }
  | { readonly kind: 'wait'; readonly waitMs: number };

/** Judges an attempt by the record there is. */
export function judgeFailures(
  record: SignInFailuresRecord | undefined,
  policy: FailurePolicy,
  nowMs: number,
): FailureVerdict {
  if (record === undefined) return { kind: 'free' };
  // Whatever the settings were when it was written, and the clock: no wait is longer than the longest.
  const untilMs = Math.min(record.blockedUntilMs, record.atMs + policy.delayMaxMs);
  const waitMs = Math.min(untilMs - nowMs, policy.delayMaxMs);
  if (waitMs > 0) return { kind: 'wait', waitMs };
  return failuresIn(owedMs(record, nowMs), policy) < policy.freeFailures ? { kind: 'free' } : { kind: 'reserve' };
}

/** A record that holds no failure. */
export const noFailures = (nowMs: number): SignInFailuresRecord => ({
  schema: IAM_SCHEMA,
  owedMs: 0,
  atMs: nowMs,
  blockedUntilMs: 0,
});

/** The record after one more failure, and how long it means anything. */
export function addFailure(
  record: SignInFailuresRecord | undefined,
  policy: FailurePolicy,
  nowMs: number,
): { readonly record: SignInFailuresRecord; readonly ttlSeconds: number } {
  // Beyond the largest delay more failures change nothing.
  const countMax = policy.freeFailures + Math.ceil(Math.log2(policy.delayMaxMs / policy.firstDelayMs));
  const owed = Math.min(
    (record === undefined ? 0 : owedMs(record, nowMs)) + policy.forgiveEveryMs,
    countMax * policy.forgiveEveryMs,
  );
  const delayMs = delayAfter(failuresIn(owed, policy), policy);
  return {
    record: { schema: IAM_SCHEMA, owedMs: owed, atMs: nowMs, blockedUntilMs: nowMs + delayMs },
    ttlSeconds: Math.ceil(Math.max(owed, delayMs) / 1_000),
  };
}

const delayAfter = (failures: number, { freeFailures, firstDelayMs, delayMaxMs }: FailurePolicy): number =>
  failures < freeFailures ? 0 : Math.min(firstDelayMs * 2 ** (failures - freeFailures), delayMaxMs);

/** Failures are kept as the time until all are forgiven: it runs down by itself, evenly. */
const owedMs = (record: SignInFailuresRecord, nowMs: number): number =>
  Math.max(0, record.owedMs - Math.max(0, nowMs - record.atMs));

const failuresIn = (owed: number, { forgiveEveryMs }: FailurePolicy): number => Math.ceil(owed / forgiveEveryMs);
