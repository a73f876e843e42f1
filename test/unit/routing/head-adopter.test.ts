import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { HeadAdopter } from '#adapters/routing/head-adopter.ts';
import { adoptInlineHead } from '#adapters/routing/inline-head.ts';
import { RevisionSource } from '#adapters/routing/revision-source.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { createLog } from '#platform/log.ts';
import { StoreError } from '#ports/key-value-store.ts';
import { FaultyStore } from '../../support/faulty-store.ts';
import { draftOf, routingDocument } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';

const log = createLog({ service: 'test', level: 'silent' });
const clock = { nowMs: () => 0 };
const tableOf = (shard: string) => Buffer.from(JSON.stringify({ table: routingDocument({ acme: shard }) }));

function setUp() {
  const memory = createMemoryKeyValueStore();
  const store = new FaultyStore(memory);
  const options = { store, revisions: new RevisionStore({ store, log }), clock, log };
  const adopter = new HeadAdopter(options);
  const source = new RevisionSource({ store: memory, log, onForeignHead: adopter.request });
  const shardOfAcme = () => source.current()?.placements.get('acme')?.runner?.shard;
  return { memory, store, options, adopter, source, shardOfAcme };
}

describe('HeadAdopter', () => {
  it('adopts the very first table of an empty bucket, and each one after it', async () => {
    const { memory, adopter, source, shardOfAcme } = setUp();
    await using _source = source;
    await using _adopter = adopter;
    for (const shard of ['s1', 's2', 's1']) {
      await memory.commit([{ key: 'head', value: tableOf(shard) }]);
      await until(() => shardOfAcme() === shard, { deadlineMs: 5_000, what: `the table with ${shard}` });
    }
    expect(source.current()?.revision).toBe(3);
  });

  it('tries again while the storage does not answer', async () => {
    const { memory, store, adopter, source, shardOfAcme } = setUp();
    await using _source = source;
    await using _adopter = adopter;
    let failures = 2;
    store.faults.commit = async (writes, real) => {
      if (writes[0]?.key === 'head' && failures-- > 0) throw new StoreError('unavailable', 'away');
      return real();
    };
    await memory.commit([{ key: 'head', value: tableOf('s2') }]);
    await until(() => shardOfAcme() === 's2', { deadlineMs: 5_000, what: 'the table' });
    expect(failures).toBeLessThan(0);
  });
});

describe('adoptInlineHead', () => {
  it('leaves a head of a newer schema alone: an upgrade is under way', async () => {
    const { memory, options, source } = setUp();
    await using _ = source;
    await options.revisions.publish(draftOf(routingDocument({ acme: 's1' })), undefined);
    await memory.commit([{ key: 'head', value: Buffer.from('{"schema":2,"revision":9}') }]);
    expect(await adoptInlineHead(options)).toBe('none');
    expect(Buffer.from((await memory.get('head'))?.value ?? []).toString()).toBe('{"schema":2,"revision":9}');
  });

  it('puts the head back when the table equals the current revision', async () => {
    const memory = createMemoryKeyValueStore();
    const options = { store: memory, revisions: new RevisionStore({ store: memory, log }), clock, log };
    const first = await options.revisions.publish(draftOf(routingDocument({ acme: 's1' })), undefined);
    await memory.commit([{ key: 'head', value: tableOf('s1') }]);
    expect(await adoptInlineHead(options)).toMatchObject({ state: 'unchanged', revision: 1 });
    expect(await new RevisionStore({ store: memory, log }).head()).toMatchObject({
      manifest: first.manifest,
      revision: 1,
    });
  });
});
