import { LIMITS } from '#domain/limits.ts';
import type { RunVerdict } from './judge-run.ts';

type Known = Exclude<RunVerdict, { readonly state: 'unavailable' }>;

/** Verdicts about single shards by the hash of what Envoys would get; the ones used last stay. */
export class VerdictCache {
  readonly #verdicts = new Map<string, Known>();
  readonly #maxCount: number;

  constructor(maxCount: number = LIMITS.envoyVerdictsKeptMaxCount) {
    this.#maxCount = maxCount;
  }

  get(key: string): Known | undefined {
    const known = this.#verdicts.get(key);
    if (known !== undefined) this.#place(key, known);
    return known;
  }

  put(key: string, verdict: Known): void {
    this.#place(key, verdict);
    if (this.#verdicts.size <= this.#maxCount) return;
    const [oldest] = this.#verdicts.keys();
    if (oldest !== undefined) this.#verdicts.delete(oldest);
  }

  #place(key: string, verdict: Known): void {
    this.#verdicts.delete(key);
    this.#verdicts.set(key, verdict);
  }
}
