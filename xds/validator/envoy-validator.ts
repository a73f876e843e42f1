import { LIMITS } from '#domain/limits.ts';
import type { ChangedShard, RefusedShard, ShardVerdict } from '#domain/routing/validation/shard-validation.ts';
import { turnWhenDue } from '#platform/event-loop.ts';
import type { Log } from '#platform/log.ts';
import { bootstrapOf, type Candidate, candidateOf, type Translators } from './candidate.ts';
import { findRefused } from './find-refused.ts';
import { judgeRun, type RunVerdict } from './judge-run.ts';
import type { RunEnvoy } from './run-envoy.ts';
import { VerdictCache } from './verdict-cache.ts';

export interface EnvoyValidatorOptions {
  /** Those of the control plane, for shards with TLS with `SECRETS_FOLDER`. */
  readonly translators: Translators;
  readonly run: RunEnvoy;
  readonly log: Log;
}

/** What is left of the time and runs of one validation. */
interface Budget {
  readonly endsAtMs: number;
  runs: number;
}

/**
 * Asks an Envoy whether it would take shards, one process at a time. What it said of a shard is remembered by the hash
 * of its bytes, so that only what was never seen needs a process.
 */
export class EnvoyValidator implements Disposable {
  readonly #options: EnvoyValidatorOptions;
  readonly #verdicts = new VerdictCache();
  readonly #stop = new AbortController();
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: EnvoyValidatorOptions) {
    this.#options = options;
  }

  /**
   * Never rejects, and takes at most `envoyValidationMaxMs` when its turn has come. `invalid` only when an Envoy, or the
   * encoder before it, refused a shard; whatever keeps Envoy from answering is `unavailable`.
   */
  async validate(shards: readonly ChangedShard[]): Promise<ShardVerdict> {
    if (shards.length > LIMITS.envoyValidationShardsMaxCount) return unavailable('there are too many shards at once');
    if (this.#waiting >= LIMITS.envoyValidationsQueuedMaxCount) return unavailable('too many validations wait');
    this.#waiting += 1;
    const verdict = this.#last.then(() => this.#judge(shards));
    this.#last = verdict.catch(() => {});
    try {
      return await verdict;
    } catch (error) {
      this.#options.log.error({ err: error }, 'shards could not be validated');
      return unavailable('the validator failed');
    } finally {
      this.#waiting -= 1;
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #judge(shards: readonly ChangedShard[]): Promise<ShardVerdict> {
    const { candidates, refused } = await this.#translate(shards);
    const unknown: Candidate[] = [];
    for (const candidate of candidates) {
      const known = this.#verdicts.get(candidate.key);
      if (known === undefined) unknown.push(candidate);
      if (known?.state === 'invalid') refused.push(refusedShard(candidate, known.error));
    }
    if (unknown.length === 0) return refused.length === 0 ? { state: 'valid' } : { state: 'invalid', refused };
    const beganAtMs = performance.now();
    const budget = { endsAtMs: beganAtMs + LIMITS.envoyValidationMaxMs, runs: 0 };
    const verdict = await this.#ask(unknown, budget);
    const tookMs = Math.round(performance.now() - beganAtMs);
    this.#options.log.info({ shards: unknown.length, runs: budget.runs, tookMs, ...verdict }, 'shards validated');
    if (refused.length === 0) return verdict;
    return verdict.state === 'invalid'
      ? { ...verdict, refused: [...refused, ...verdict.refused] }
      : { state: 'invalid', refused };
  }

  /** In slices: Envoys are served in between. */
  async #translate(shards: readonly ChangedShard[]) {
    const candidates: Candidate[] = [];
    const refused: RefusedShard[] = [];
    for (const shard of shards) {
      await turnWhenDue();
      const candidate = candidateOf(shard, this.#options.translators);
      if (typeof candidate === 'string') refused.push(refusedShard(shard, candidate));
      else candidates.push(candidate);
    }
    return { candidates, refused };
  }

  async #ask(candidates: readonly Candidate[], budget: Budget): Promise<ShardVerdict> {
    const first = await this.#run(candidates, budget);
    if (first.state !== 'invalid') return first;
    // What Envoy says even of a bootstrap without shards is no fault of theirs.
    const without = await this.#run([], budget);
    if (without.state === 'unavailable') return without;
    if (without.state === 'invalid') return unavailable(`Envoy refuses even a configuration of ours: ${without.error}`);
    const found = await findRefused({ entries: candidates, error: first.error }, (part) => this.#run(part, budget));
    for (const { entry, error } of found.refused) this.#verdicts.put(entry.key, { state: 'invalid', error });
    const [group] = found.untold;
    if (group === undefined && found.refused.length === 0) {
      return unavailable(`Envoy refuses these shards together and none of them alone: ${first.error}`);
    }
    const count = found.untold.reduce((sum, { entries }) => sum + entries.length, 0);
    return {
      state: 'invalid',
      refused: found.refused.map(({ entry, error }) => refusedShard(entry, error)),
      ...(group === undefined ? {} : { untold: { count, error: group.error } }),
    };
  }

  async #run(candidates: readonly Candidate[], budget: Budget): Promise<RunVerdict> {
    const limitMs = budget.endsAtMs - performance.now();
    if (limitMs <= 0) return unavailable('no time is left');
    if (budget.runs >= LIMITS.envoyValidationRunsMaxCount) return unavailable('too many runs');
    budget.runs += 1;
    const verdict = judgeRun(await this.#options.run(bootstrapOf(candidates), { limitMs, signal: this.#stop.signal }));
    if (verdict.state === 'valid') for (const { key } of candidates) this.#verdicts.put(key, verdict);
    return verdict;
  }
}

const refusedShard = ({ kind, name }: Pick<RefusedShard, 'kind' | 'name'>, error: string): RefusedShard => ({
  kind,
  name,
  error,
});

const unavailable = (detail: string) => ({ state: 'unavailable', detail }) as const;
