/** How soon a child that died is started again. */
export interface BackoffRules {
  readonly firstMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** A child that lived this long was well: the next restart is as quick as the first. */
  readonly resetAfterMs: number;
}

export const RESTART_BACKOFF: BackoffRules = { firstMs: 100, factor: 2, maxMs: 5_000, resetAfterMs: 10_000 };

/** The wait before the next start. @param previousMs the wait before the start that just ended, 0 = there was none */
export function nextBackoffMs(rules: BackoffRules, previousMs: number, livedMs: number): number {
  if (previousMs === 0 || livedMs >= rules.resetAfterMs) return rules.firstMs;
  return Math.min(previousMs * rules.factor, rules.maxMs);
}
