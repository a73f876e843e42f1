import { zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { RevisionSource } from '#adapters/routing/revision-source.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument } from '#app/publish-revision.ts';
import { toDocument } from '#domain/routing/revision.ts';
import { createLog } from '#platform/log.ts';
import { FaultyStore } from '../../support/faulty-store.ts';
import { draftOf, manyTenants, routingDocument } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';

const log = createLog({ service: 'test', level: 'silent' });
const clock = { nowMs: () => 0 };
const wait = { deadlineMs: 5_000 };

function setUp() {
  const memory = createMemoryKeyValueStore();
  const store = new FaultyStore(memory);
  const revisions = new RevisionStore({ store: memory, log });
  const move = (tenant: string, shard: string) =>
    publishChanges({ store: revisions, clock }, { changes: { changes: [{ tenant, runner: shard }] }, by: 'ann' });
  return { memory, store, revisions, move, ports: { store: revisions, clock } };
}

/** A promise that a test opens. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, opened: promise };
}

describe('RevisionSource', () => {
  it('goes on to the newest head when more than one came while it was loading', async () => {
    const { store, ports, move } = setUp();
    await publishDocument(ports, { document: routingDocument({ acme: 's1' }), by: 'ann' });
    const held = gate();
    store.faults.get = async (key, real) => {
      if (key.startsWith('manifest.')) await held.opened;
      return real();
    };
    await using source = new RevisionSource({ store, log });
    const seen: number[] = [];
    source.onRevision(({ revision }) => seen.push(revision));
    await until(() => store.reads.length > 0, { ...wait, what: 'the load to begin' });
    for (const shard of ['s2', 's1', 's2']) await move('acme', shard);
    delete store.faults.get;
    held.open();
    await until(() => source.current()?.revision === 4, { ...wait, what: 'revision 4' });
    expect(seen).toEqual([1, 4]);
    expect(store.reads.filter((key) => key.startsWith('manifest.'))).toHaveLength(2);
  });

  it('keeps the last good revision while a part is missing, and has the new one when the part is there', async () => {
    const { memory, store, ports } = setUp();
    await publishDocument(ports, { document: routingDocument({ acme: 's1' }), by: 'ann' });
    await using source = new RevisionSource({ store, log });
    await until(() => source.current()?.revision === 1, { ...wait, what: 'revision 1' });
    store.faults.get = async (key, real) => (key.startsWith('chunk.') ? undefined : real());
    await publishDocument(ports, { document: routingDocument({ acme: 's1' }, ['s1']), by: 'ann' });
    await until(() => source.problem() !== undefined, { ...wait, what: 'the problem' });
    expect(source.problem()).toMatchObject({ revision: 2, reason: expect.stringMatching(/chunk .* is missing/) });
    expect(source.current()?.revision).toBe(1);
    expect(source.isComplete()).toBe(false);
    delete store.faults.get;
    await until(() => source.current()?.revision === 2, { ...wait, what: 'revision 2' });
    expect(source.problem()).toBeUndefined();
    expect(await memory.get('head')).toBeDefined();
  });

  it.each([
    ['another chunk than its name says', () => zstdCompressSync('{"s1":{"endpoints":[],"protocol":"h2"}}')],
    ['a damaged chunk', (value: Uint8Array) => value.subarray(0, value.length - 4)],
  ])('does not apply %s', async (_what, damage) => {
    const { store, ports } = setUp();
    await publishDocument(ports, { document: routingDocument({ acme: 's1' }), by: 'ann' });
    store.faults.get = async (key, real) => {
      const record = await real();
      return record !== undefined && key.startsWith('chunk.') ? { ...record, value: damage(record.value) } : record;
    };
    await using source = new RevisionSource({ store, log });
    await until(() => source.problem() !== undefined, { ...wait, what: 'the problem' });
    expect(source.current()).toBeUndefined();
    delete store.faults.get;
    await until(() => source.current()?.revision === 1, { ...wait, what: 'recovery' });
  });

  it('fetches when the inline changes do not give what the manifest names', async () => {
    const { memory, store, revisions } = setUp();
    const first = await revisions.publish(draftOf(routingDocument({ acme: 's1' })), undefined);
    await using source = new RevisionSource({ store, log });
    await until(() => source.current()?.revision === 1, { ...wait, what: 'revision 1' });
    // A head whose changes lie: they say s1 stays, the manifest says s2.
    const lying = new FaultyStore(memory);
    lying.faults.commit = (writes, real) => {
      const [head] = writes;
      if (head?.key !== 'head' || head.value === undefined) return real();
      const value: unknown = JSON.parse(Buffer.from(head.value).toString());
      const lie = { ...Object(value), changes: [{ tenant: 'globex', runner: 's1' }] };
      return memory.commit([{ ...head, value: Buffer.from(JSON.stringify(lie)) }]);
    };
    const second = draftOf(routingDocument({ acme: 's2' }), first);
    await new RevisionStore({ store: lying, log }).publish(second, await revisions.head());
    await until(() => source.current()?.revision === 2, { ...wait, what: 'revision 2' });
    expect(source.current()?.placements.get('globex')).toBeUndefined();
    expect(source.current()?.placements.get('acme')?.runner?.shard).toBe('s2');
    expect(store.reads.some((key) => key.startsWith('chunk.'))).toBe(true);
  });

  it('waits for the storage to come back', async () => {
    const { memory, store, ports } = setUp();
    await publishDocument(ports, { document: routingDocument({ acme: 's1' }), by: 'ann' });
    memory.setAvailable(false);
    await using source = new RevisionSource({ store, log });
    await until(() => source.problem() !== undefined, { ...wait, what: 'the problem' });
    memory.setAvailable(true);
    await until(() => source.current()?.revision === 1, { ...wait, what: 'revision 1' });
  });

  it('never goes back, and tells listeners in order whatever one of them does', async () => {
    const { memory, store, ports, move } = setUp();
    await publishDocument(ports, { document: manyTenants({ tenants: 50, shards: 2 }), by: 'ann' });
    const old = await memory.get('head');
    await using source = new RevisionSource({ store, log });
    const seen: string[] = [];
    source.onRevision(({ revision }) => {
      seen.push(`a${revision}`);
      throw new Error('a listener of the test fails');
    });
    const end = source.onRevision(({ revision }) => seen.push(`b${revision}`));
    await until(() => source.current()?.revision === 1, { ...wait, what: 'revision 1' });
    await move('t0', 's1');
    await until(() => source.current()?.revision === 2, { ...wait, what: 'revision 2' });
    end();
    await move('t0', 's0');
    await until(() => source.current()?.revision === 3, { ...wait, what: 'revision 3' });
    expect(seen).toEqual(['a1', 'b1', 'a2', 'b2', 'a3']);
    await memory.commit([{ key: 'head', value: old?.value ?? new Uint8Array() }]);
    await until(() => source.problem() !== undefined, { ...wait, what: 'the old head to be seen' });
    expect(source.current()?.revision).toBe(3);
    await memory.commit([{ key: 'head' }]);
    expect(source.current()?.revision).toBe(3);
  });

  it('builds from the parts exactly what was published', async () => {
    const { store, ports, revisions } = setUp();
    await publishDocument(ports, { document: manyTenants({ tenants: 3_000, shards: 7 }), by: 'ann' });
    await using source = new RevisionSource({ store, log });
    await until(() => source.current() !== undefined, { ...wait, what: 'revision 1' });
    const published = await revisions.head();
    expect(source.current() && toDocument(source.current() ?? revisionsMissing())).toEqual(
      toDocument(published ?? revisionsMissing()),
    );
  });
});

function revisionsMissing(): never {
  throw new Error('there is no revision');
}
