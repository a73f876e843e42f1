import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { type KeyValueStore, StoreError, type Write } from '#ports/key-value-store.ts';

/** What one attempt found: an answer without writing, or writes and the answer once they are in the store. */
export type Attempt<Value> =
  | { readonly answer: Outcome<Value> }
  | { readonly writes: readonly Write[]; readonly committed: (revision: number) => Value };

const RETRY_PAUSE_MS = 20;

/**
 * Reads, decides and commits, again after a conflict, at most `conflictRetriesMaxCount` times. `operationKey` is a key
 * that only this operation writes (its audit record, whose id is made before the first attempt): when the store did not
 * answer, it tells whether the commit happened. Storage that is away is `storage_unavailable`, never another answer.
 */
export async function commitDecision<Value>(options: {
  readonly store: KeyValueStore;
  readonly operationKey: string;
  readonly attempt: () => Promise<Attempt<Value>>;
}): Promise<Outcome<Value>> {
  const { store, operationKey } = options;
  let last: { readonly writes: readonly Write[]; readonly committed: (revision: number) => Value } | undefined;
  let unknown = false;
  return withStorage(async () => {
    for (let tries = 0; tries <= LIMITS.conflictRetriesMaxCount; tries += 1) {
      if (tries > 0) await pause(Math.random() * RETRY_PAUSE_MS * tries);
      // A commit whose answer was lost may have been applied since.
      const landed = last === undefined ? undefined : await store.get(operationKey);
      if (last !== undefined && landed !== undefined) {
        const after = last.writes.length - 1 - last.writes.findIndex((write) => write.key === operationKey);
        return succeed(last.committed(landed.revision + after));
      }
      const attempt = await options.attempt();
      if ('answer' in attempt) return attempt.answer;
      try {
        const { revision } = await store.commit(attempt.writes);
        return succeed(attempt.committed(revision));
      } catch (error) {
        if (!(error instanceof StoreError) || (error.kind !== 'conflict' && error.kind !== 'outcome_unknown'))
          throw error;
        unknown = error.kind === 'outcome_unknown';
        last = attempt;
      }
    }
    return unknown
      ? refuse('storage_unavailable', 'the storage did not say whether it wrote; look before you repeat it')
      : refuse('conflict', 'others kept changing the same records; try again');
  });
}

/** Turns what a store throws on purpose into a failure; anything else is a bug and stays an exception. */
export async function withStorage<Value>(work: () => Promise<Outcome<Value>>): Promise<Outcome<Value>> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind === 'invalid') throw error;
    if (error.kind === 'conflict') return refuse('conflict', 'another change came first');
    return refuse('storage_unavailable', 'the storage does not answer; nothing is known about the request');
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
