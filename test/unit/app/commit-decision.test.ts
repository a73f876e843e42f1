import { describe, expect, it } from 'vitest';
import { createSecrets } from '#adapters/crypto/secrets.ts';
import { createTokenSigner } from '#adapters/crypto/token-signer.ts';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { commitDecision, withStorage } from '#app/commit/commit-decision.ts';
import { waitApplied } from '#app/commit/wait-applied.ts';
import { ensureSigningKey } from '#app/keys/ensure-signing-key.ts';
import { publishedKeys } from '#app/keys/published-keys.ts';
import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { StoreError, type StoreErrorKind } from '#ports/key-value-store.ts';
import type { ReplicaState } from '#ports/replica-board.ts';
import { FaultyStore } from '../../support/faulty-store.ts';

const value = new TextEncoder().encode('{}');
const codeOf = (outcome: Outcome<unknown>) => (outcome.ok ? 'ok' : outcome.error.code);

/** Two writes of one operation, `aud.x` its mark. */
const operation = (store: FaultyStore) =>
  commitDecision({
    store,
    operationKey: 'aud.x',
    attempt: async () =>
      (await store.get('thing')) !== undefined
        ? { answer: refuse('conflict', 'taken') }
        : {
            writes: [
              { key: 'aud.x', value, expect: 0 },
              { key: 'thing', value, expect: 0 },
            ],
            committed: (revision) => revision,
          },
  });

const broken = (kind: StoreErrorKind) => async () => {
  throw new StoreError(kind, kind);
};

describe('commitDecision', () => {
  it('knows its own commit again when the answer was lost', async () => {
    const store = new FaultyStore(createMemoryKeyValueStore());
    store.faults.commit = async (_, real) => {
      await real();
      delete store.faults.commit;
      throw new StoreError('outcome_unknown', 'no answer');
    };
    const outcome = await operation(store);
    // Not "taken", although the thing is there: it is ours. And the revision is that of the last write.
    expect(outcome).toEqual(succeed((await store.get('thing'))?.revision));
  });

  it('tries again when nothing was written, and gives up in the end without a verdict', async () => {
    const store = new FaultyStore(createMemoryKeyValueStore());
    let lost = 0;
    store.faults.commit = async (_, real) => {
      lost += 1;
      if (lost < 3) throw new StoreError('outcome_unknown', 'no answer');
      return real();
    };
    expect((await operation(store)).ok).toBe(true);
    const never = new FaultyStore(createMemoryKeyValueStore());
    never.faults.commit = broken('outcome_unknown');
    expect(codeOf(await operation(never))).toBe('storage_unavailable');
    expect(never.writes.length).toBeLessThanOrEqual(2 * 6);
  });

  it('decides again after a conflict and stops at the bound', async () => {
    const store = new FaultyStore(createMemoryKeyValueStore());
    store.faults.commit = async () => {
      delete store.faults.commit;
      await store.commit([{ key: 'thing', value }]);
      throw new StoreError('conflict', 'too late');
    };
    expect(await operation(store)).toEqual(refuse('conflict', 'taken'));
    const always = new FaultyStore(createMemoryKeyValueStore());
    always.faults.commit = broken('conflict');
    expect(codeOf(await operation(always))).toBe('conflict');
  });

  it('says storage_unavailable for storage that is away, and throws bugs on', async () => {
    const store = new FaultyStore(createMemoryKeyValueStore());
    store.faults.get = broken('unavailable');
    expect(codeOf(await operation(store))).toBe('storage_unavailable');
    const invalid = new FaultyStore(createMemoryKeyValueStore());
    invalid.faults.commit = broken('invalid');
    await expect(operation(invalid)).rejects.toThrow('invalid');
    await expect(withStorage(() => Promise.reject(new TypeError('bug')))).rejects.toThrow('bug');
  });
});

describe('waitApplied', () => {
  const boardOf = (states: { current: readonly ReplicaState[] }) => {
    const listeners = new Set<() => void>();
    return {
      live: () => states.current,
      onChange: (listener: () => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      tell: () => {
        for (const listener of listeners) listener();
      },
      listeners,
    };
  };
  const replica = (name: string, iamRevision?: number): ReplicaState => ({
    role: 'authz',
    replica: name,
    routingRevision: 0,
    seenAtMs: 0,
    ...(iamRevision === undefined ? {} : { iamRevision }),
  });

  it('ends as soon as the last replica caught up or left', async () => {
    const states = { current: [replica('a', 7), replica('b', 6), replica('c')] };
    const board = boardOf(states);
    const waiting = waitApplied(board, 7);
    states.current = [replica('a', 7), replica('b', 7)];
    board.tell();
    expect(await waiting).toBe('all');
    expect(board.listeners.size).toBe(0);
  });

  it('names who is behind when the time is over', async () => {
    const board = boardOf({ current: [replica('b', 6), replica('a', 7), replica('c')] });
    expect(await waitApplied(board, 7)).toEqual(['b', 'c']);
    expect(board.listeners.size).toBe(0);
  });
});

describe('publishedKeys', () => {
  it('reads once for many, keeps what it knows while storage is away, and reads again later', async () => {
    let nowMs = 1_000_000;
    const clock = { nowMs: () => nowMs };
    const memory = createMemoryKeyValueStore();
    const secrets = createSecrets(new Uint8Array(32));
    const keys = publishedKeys({ store: memory, clock });
    memory.setAvailable(false);
    expect(codeOf(await keys())).toBe('storage_unavailable');
    memory.setAvailable(true);
    await ensureSigningKey({ store: memory, secrets, clock, keys: createTokenSigner() })();
    const many = await Promise.all(Array.from({ length: 10 }, () => keys()));
    for (const found of many) expect(found.ok && found.value.length).toBe(1);
    memory.setAvailable(false);
    nowMs += 60_000;
    expect(codeOf(await keys())).toBe('ok');
  });

  it('throws for a record that is not readable, each time anew', async () => {
    const memory = createMemoryKeyValueStore();
    const keys = publishedKeys({ store: memory, clock: { nowMs: () => 0 } });
    await memory.commit([{ key: 'k.bad', value: new TextEncoder().encode('[]') }]);
    await expect(keys()).rejects.toThrow('not readable');
    await memory.commit([{ key: 'k.bad' }]);
    expect(codeOf(await keys())).toBe('ok');
  });
});

describe('ensureSigningKey', () => {
  it('refuses to start with another master key', async () => {
    const store = createMemoryKeyValueStore();
    const clock = { nowMs: () => 0 };
    const make = (fill: number) =>
      ensureSigningKey({
        store,
        clock,
        secrets: createSecrets(new Uint8Array(32).fill(fill)),
        keys: createTokenSigner(),
      })();
    const first = await make(1);
    expect(await make(1)).toEqual(first);
    await expect(make(2)).rejects.toThrow();
    store.setAvailable(false);
    expect(codeOf(await make(1))).toBe('storage_unavailable');
  });
});
