import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addFailure, type FailurePolicy, judgeFailures } from '#domain/identity/failure-delay.ts';
import type { SignInFailuresRecord } from '#domain/identity/records.ts';

const POLICY: FailurePolicy = {
  freeFailures: 3,
  firstDelayMs: 30_000,
  delayMaxMs: 3_600_000,
  forgiveEveryMs: 7_200_000,
};
const NOW = 1_800_000_000_000;

/** Fails as often as it is let to, waiting as long as it is told. @returns the waits */
function guess(times: number, policy = POLICY, pauseMs = 0) {
  let record: SignInFailuresRecord | undefined;
  let nowMs = NOW;
  const waits: number[] = [];
  for (let index = 0; index < times; index += 1) {
    const verdict = judgeFailures(record, policy, nowMs);
    const waitMs = verdict.kind === 'wait' ? verdict.waitMs : 0;
    waits.push(waitMs);
    nowMs += waitMs + pauseMs;
    record = addFailure(record, policy, nowMs).record;
  }
  return { waits, nowMs, record };
}

describe('the delay after failures', () => {
  it('begins after the free ones, doubles, and is never longer than the longest', () => {
    const seconds = guess(12).waits.map((waitMs) => waitMs / 1_000);
    expect(seconds).toEqual([0, 0, 0, 30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
  });

  it('lets one attempt through at a time once failures have begun to cost', () => {
    const { record, nowMs } = guess(4);
    expect(judgeFailures(record, POLICY, nowMs).kind).toBe('wait');
    expect(judgeFailures(record, POLICY, nowMs + 60_000)).toEqual({ kind: 'reserve' });
    expect(judgeFailures(guess(2).record, POLICY, NOW)).toEqual({ kind: 'free' });
    expect(judgeFailures(undefined, POLICY, NOW)).toEqual({ kind: 'free' });
  });

  it('forgives one failure in each of the times it takes, and all of them in the end', () => {
    const { record, nowMs } = guess(3);
    expect(judgeFailures(record, POLICY, nowMs + POLICY.forgiveEveryMs - 1)).toEqual({ kind: 'reserve' });
    expect(judgeFailures(record, POLICY, nowMs + POLICY.forgiveEveryMs)).toEqual({ kind: 'free' });
    const after = addFailure(record, POLICY, nowMs + 3 * POLICY.forgiveEveryMs).record;
    expect(after.owedMs).toBe(POLICY.forgiveEveryMs);
  });

  it('keeps nobody out who fails now and then', () => {
    const { waits } = guess(500, POLICY, POLICY.forgiveEveryMs);
    expect(Math.max(...waits)).toBe(0);
  });

  it('allows no more guesses than the free ones and one for each delay, whatever the guesser does', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4_000_000), { maxLength: 300 }), (pauses) => {
        let record: SignInFailuresRecord | undefined;
        let nowMs = NOW;
        let guesses = 0;
        for (const pauseMs of pauses) {
          nowMs += pauseMs;
          if (judgeFailures(record, POLICY, nowMs).kind === 'wait') continue;
          record = addFailure(record, POLICY, nowMs).record;
          guesses += 1;
        }
        const elapsedMs = nowMs - NOW;
        // What is forgiven may be failed again; beyond that every guess waits for the one before it.
        const free = POLICY.freeFailures + elapsedMs / POLICY.forgiveEveryMs;
        expect(guesses).toBeLessThanOrEqual(free + 7 + elapsedMs / POLICY.delayMaxMs + 1);
      }),
    );
  });

  it('lets everybody in after the longest delay, whatever the record says', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.nat(NOW), fc.maxSafeInteger(), (owedMs, atMs, blockedUntilMs) => {
        const record = { schema: 1, owedMs, atMs, blockedUntilMs } as const;
        const verdict = judgeFailures(record, POLICY, atMs);
        if (verdict.kind === 'wait') expect(verdict.waitMs).toBeLessThanOrEqual(POLICY.delayMaxMs);
        expect(judgeFailures(record, POLICY, atMs + POLICY.delayMaxMs).kind).not.toBe('wait');
      }),
    );
  });

  it('keeps a record as long as it means anything', () => {
    expect(addFailure(undefined, POLICY, NOW).ttlSeconds).toBe(7_200);
    const short = { ...POLICY, freeFailures: 1, forgiveEveryMs: 1_000 };
    expect(addFailure(undefined, short, NOW).ttlSeconds).toBe(30);
  });
});
