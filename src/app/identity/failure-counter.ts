import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { addFailure, type FailurePolicy, judgeFailures, noFailures } from '#domain/identity/failure-delay.ts';
import { encodeRecord, readSignInFailures } from '#domain/identity/record-codec.ts';
import type { SignInFailuresRecord } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import { StoreError, type Write } from '#ports/key-value-store.ts';
import type { IdentityServices } from './identity-services.ts';

type Services = Pick<IdentityServices, 'store' | 'clock' | 'throttled'>;

const RETRY_PAUSE_MS = 10;
const BUSY_RETRY_SECONDS = 1;

/** Whose failures, under which key of the store, by which rule. */
interface Counted {
  readonly by: 'account' | 'client';
  readonly key: string;
  readonly policy: FailurePolicy;
  /** The record itself says something, failures or not, for so long; absent: without failures there is none. */
  readonly keepSeconds?: number;
}

/** The failures of one key, during one attempt. */
export class FailureCounter {
  readonly #services: Services;
  readonly #of: Counted;
  #seen: { readonly record: SignInFailuresRecord | undefined; readonly revision: number } | undefined;
  /** Where this attempt is counted already: the revision that counts it, and what was there before. */
  #reserved: { readonly revision: number; readonly before: SignInFailuresRecord | undefined } | undefined;

  constructor(services: Services, of: Counted) {
    this.#services = services;
    this.#of = of;
  }

  /** Reads what there is. */
  async look(): Promise<void> {
    const stored = await this.#services.store.get(this.#of.key);
    this.#seen = {
      record: stored === undefined ? undefined : readSignInFailures(stored.value),
      revision: stored?.revision ?? 0,
    };
  }

  isThere(): boolean {
    return this.#seen?.record !== undefined;
  }

  /** Refuses where the attempt has to wait. */
  waiting(): Outcome<undefined> {
    const verdict = this.#judge();
    return verdict.kind === 'wait' ? this.#refuse(verdict.waitMs) : succeed(undefined);
  }

  /** Counts the attempt beforehand where failures cost time. */
  async enter(): Promise<Outcome<undefined>> {
    return this.#judge().kind === 'reserve' ? this.#add({ reserve: true }) : succeed(undefined);
  }

  /** The attempt failed. Refuses where others have failed meanwhile so often that it would have had to wait. */
  async count(): Promise<Outcome<undefined>> {
    return this.#reserved === undefined ? this.#add({ reserve: false }) : succeed(undefined);
  }

  /** The attempt succeeded: what forgets the failures. Refuses as `count` does. */
  async clear(): Promise<Outcome<readonly Write[]>> {
    const { key, keepSeconds: ttlSeconds } = this.#of;
    const nowMs = this.#services.clock.nowMs();
    const forget: Write =
      ttlSeconds === undefined ? { key } : { key, ttlSeconds, value: encodeRecord(noFailures(nowMs)) };
    if (this.#reserved !== undefined) return succeed([forget]);
    await this.look();
    const waiting = this.waiting();
    if (!waiting.ok) return waiting;
    const { record, revision } = this.#seen ?? { record: undefined, revision: 0 };
    const isForgotten =
      ttlSeconds === undefined
        ? record === undefined
        : record?.owedMs === 0 && nowMs - record.atMs < LIMITS.knownClientRefreshMs;
    return succeed(isForgotten ? [] : [{ ...forget, expect: revision }]);
  }

  /** Takes back what was counted beforehand, unless somebody has counted since. */
  async leave(): Promise<void> {
    if (this.#reserved === undefined) return;
    const { revision, before } = this.#reserved;
    this.#reserved = undefined;
    const write: Write =
      before === undefined
        ? { key: this.#of.key, expect: revision }
        : {
            key: this.#of.key,
            expect: revision,
            value: encodeRecord(before),
            ttlSeconds: this.#lifetime(Math.max(1, Math.ceil(before.owedMs / 1_000))),
          };
    await this.#commit(write);
  }

  async #add({ reserve }: { readonly reserve: boolean }): Promise<Outcome<undefined>> {
    const { clock } = this.#services;
    for (let tries = 0; tries <= LIMITS.conflictRetriesMaxCount; tries += 1) {
      if (tries > 0) {
        await pause(Math.random() * RETRY_PAUSE_MS * 2 ** tries);
        await this.look();
        const waiting = this.waiting();
        if (!waiting.ok) return waiting;
      }
      const before = this.#seen?.record;
      const { record, ttlSeconds } = addFailure(before, this.#of.policy, clock.nowMs());
      const value = encodeRecord(record);
      const revision = await this.#commit({
        key: this.#of.key,
        expect: this.#seen?.revision ?? 0,
        value,
        ttlSeconds: this.#lifetime(ttlSeconds),
      });
      if (revision === undefined) continue;
      if (reserve) this.#reserved = { revision, before };
      return succeed(undefined);
    }
    // So many at once on one account are no people.
    return this.#refuse(BUSY_RETRY_SECONDS * 1_000);
  }

  /** @returns the revision, or undefined when another write came first */
  async #commit(write: Write): Promise<number | undefined> {
    try {
      return (await this.#services.store.commit([write])).revision;
    } catch (error) {
      if (error instanceof StoreError && error.kind === 'conflict') return undefined;
      throw error;
    }
  }

  #lifetime(seconds: number): number {
    return Math.max(seconds, this.#of.keepSeconds ?? 0);
  }

  #judge() {
    return judgeFailures(this.#seen?.record, this.#of.policy, this.#services.clock.nowMs());
  }

  #refuse(waitMs: number): Outcome<never> {
    this.#services.throttled(this.#of.by);
    const refusal = refuse('rate_limited', 'too many failed attempts to sign in; try again later');
    return { ...refusal, error: { ...refusal.error, retryAfterSeconds: Math.ceil(waitMs / 1_000) } };
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
