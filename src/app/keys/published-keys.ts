import { type Outcome, succeed } from '#domain/errors.ts';
import { readSigningKey } from '#domain/identity/record-codec.ts';
import type { SigningKeyRecord } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Clock } from '#ports/clock.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { withStorage } from '../commit/commit-decision.ts';

/** A public endpoint must not cost a read of the store per request. */
const FRESH_MS = 5_000;

/**
 * The public halves of all signing keys, for the key set document. Read at most every few seconds, one read at a time;
 * while the storage is away the last known ones stay, because public keys do not become wrong.
 */
export function publishedKeys(services: { readonly store: KeyValueStore; readonly clock: Clock }) {
  let known: { readonly keys: readonly SigningKeyRecord[]; readonly atMs: number } | undefined;
  let reading: Promise<Outcome<readonly SigningKeyRecord[]>> | undefined;
  const read = async () => {
    const found = await withStorage(async () =>
      succeed(await services.store.list('k.', { limit: LIMITS.pageMaxCount })),
    );
    reading = undefined;
    if (!found.ok) return known === undefined ? found : succeed(known.keys);
    known = { keys: found.value.map((stored) => readSigningKey(stored.value)), atMs: services.clock.nowMs() };
    return succeed(known.keys);
  };
  return async (): Promise<Outcome<readonly SigningKeyRecord[]>> => {
    if (known !== undefined && services.clock.nowMs() - known.atMs < FRESH_MS) return succeed(known.keys);
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
}
