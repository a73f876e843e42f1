import { describe, expect, test } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument, rollback } from '#app/publish-revision.ts';
import { dryRun } from '#app/routing-dry-run.ts';
import { validateShards } from '#app/validate-shards.ts';
import { LIMITS } from '#domain/limits.ts';
import type { ChangedShard, ShardVerdict } from '#domain/routing/validation/shard-validation.ts';
import { silentLog } from '../../support/nats.ts';
import { routingDocument } from '../../support/routing.ts';

const KINDS = ['aggregate', 'projection', 'runner'];
const REFUSED: ShardVerdict = {
  state: 'invalid',
  refused: [{ kind: 'projection', name: 's3', error: 'no such thing' }],
};

/** A store and a validator that says what the test wants, and what it was asked. */
function setUp() {
  const asked: (readonly string[])[] = [];
  const said: { verdict: ShardVerdict | undefined; isThere: boolean; during?: () => Promise<unknown> } = {
    verdict: { state: 'valid' },
    isThere: true,
  };
  const validator = {
    isThere: () => said.isThere,
    validate: async (shards: readonly ChangedShard[]) => {
      asked.push(shards.map(({ kind, name }) => `${kind}/${name}`));
      await said.during?.();
      return said.verdict;
    },
  };
  const store = new RevisionStore({ store: createMemoryKeyValueStore(), log: silentLog });
  const ports = { store, clock: { nowMs: () => 0 }, validator };
  const push = (shards: readonly string[], more: { readonly expectedRevision?: number } = {}) =>
    publishDocument(ports, { document: routingDocument({ acme: 's1' }, shards), by: 'ann', ...more });
  return { asked, said, ports, push, store };
}

describe('a publication with a validator', () => {
  test('asks about changed shards alone and says that they are valid', async () => {
    const { asked, push } = setUp();
    expect(await push(['s1', 's2'])).toMatchObject({ ok: true, value: { revision: 1, validation: 'valid' } });
    expect(await push(['s1', 's2', 's3'])).toMatchObject({ ok: true, value: { validation: 'valid' } });
    expect(asked[1]).toEqual(KINDS.map((kind) => `${kind}/s3`));
  });

  test('publishes nothing that Envoy refuses, and points to the shard', async () => {
    const { said, push, store } = setUp();
    await push(['s1']);
    said.verdict = REFUSED;
    expect(await push(['s1', 's3'])).toEqual({
      ok: false,
      error: {
        code: 'validation_failed',
        detail: expect.any(String),
        errors: [
          { pointer: '/projection_shards/s3', code: 'refused_by_envoy', detail: 'Envoy refuses it: no such thing' },
        ],
      },
    });
    expect((await store.head())?.revision).toBe(1);
  });

  test('publishes what nobody could judge, and says why', async () => {
    const { said, push } = setUp();
    said.verdict = { state: 'unavailable', detail: 'late' };
    const value = { revision: 1, validation: 'unavailable', validation_detail: 'late' };
    expect(await push(['s1'])).toMatchObject({ ok: true, value });
  });

  test('says nothing of a validation where nobody is there to ask', async () => {
    const { asked, said, push } = setUp();
    said.isThere = false;
    const first = await push(['s1']);
    expect(first.ok && Object.keys(first.value)).toEqual(['revision', 'kind_revisions', 'changed']);
    expect(asked).toEqual([]);
    said.isThere = true;
    said.verdict = undefined;
    const second = await push(['s1', 's2']);
    expect(second.ok && Object.keys(second.value)).toEqual(['revision', 'kind_revisions', 'changed']);
  });

  test('moves and changes of placements never ask', async () => {
    const { asked, ports, push } = setUp();
    await push(['s1', 's2']);
    const changes = { changes: [{ tenant: 'acme', projection: 's2' }] };
    expect(await publishChanges(ports, { changes, by: 'ann' })).toMatchObject({ ok: true, value: { changed: true } });
    const document = routingDocument({ acme: 's2' }, ['s1', 's2']);
    expect(await publishDocument(ports, { document, by: 'ann' })).toMatchObject({ ok: true, value: { changed: true } });
    expect(asked).toHaveLength(1);
  });

  test('a rollback asks about the shards that come back, and a dry run tells', async () => {
    const { asked, said, ports, push, store } = setUp();
    await push(['s1', 's3']);
    await push(['s1']);
    said.verdict = { state: 'unavailable', detail: 'late' };
    const tried = await dryRun(ports, { limit: 10 }, (with_) => rollback(with_, { revision: 1, by: 'ann' }));
    const validation = { validation: 'unavailable', validation_detail: 'late' };
    expect(tried).toMatchObject({ ok: true, value: { changed: true, validation } });
    said.verdict = REFUSED;
    const refused = { ok: false, error: { code: 'validation_failed' } };
    expect(await dryRun(ports, { limit: 10 }, (with_) => rollback(with_, { revision: 1, by: 'ann' }))).toMatchObject(
      refused,
    );
    expect(await rollback(ports, { revision: 1, by: 'ann' })).toMatchObject(refused);
    expect((await store.head())?.revision).toBe(2);
    expect(asked.at(-1)).toEqual(KINDS.map((kind) => `${kind}/s3`));
  });

  test('does not ask for a publication that cannot be anyway', async () => {
    const { asked, push } = setUp();
    await push(['s1']);
    expect(await push(['s1', 's2'], { expectedRevision: 7 })).toMatchObject({ error: { code: 'precondition_failed' } });
    expect(asked).toHaveLength(1);
  });

  test('holds nobody up: what is published while it waits is published, and is a conflict for it', async () => {
    const { said, ports, push, store } = setUp();
    await push(['s1', 's2']);
    said.during = () => publishChanges(ports, { changes: { changes: [{ tenant: 'acme', runner: 's2' }] }, by: 'bob' });
    expect(await push(['s1', 's2', 's3'])).toMatchObject({
      ok: false,
      error: { code: 'conflict', currentRevision: 2 },
    });
    expect((await store.head())?.by).toBe('bob');
  });
});

test('no more shards are told than mistakes are, the rest is counted', async () => {
  const refused = Array.from({ length: LIMITS.routingErrorsMaxCount + 20 }, (_, index) => ({
    ...{ kind: 'runner' as const, name: `s${index}`, error: 'no' },
  }));
  const wanted = { shards: { aggregate: new Map(), projection: new Map(), runner: new Map([['s0', SHARD]]) } };
  const untold = { count: 7, error: 'one of seven' };
  const validate = async () => ({ state: 'invalid', refused, untold }) as const;
  const outcome = await validateShards({ isThere: () => true, validate }, undefined, wanted);
  const errors = outcome.ok ? [] : (outcome.error.errors ?? []);
  expect(errors).toHaveLength(LIMITS.routingErrorsMaxCount);
  expect(errors.at(-1)).toMatchObject({ pointer: '', detail: expect.stringMatching(/one of 28 more .*one of seven/) });
});

const SHARD = { endpoints: [], protocol: 'h2' } as const;
