import { expect, it } from 'vitest';
import { adoptInlineHead } from '#adapters/routing/inline-head.ts';
import { RevisionSource } from '#adapters/routing/revision-source.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument, rollback } from '#app/publish-revision.ts';
import { LIMITS } from '#domain/limits.ts';
import { revisionFromChanges, toDocument } from '#domain/routing/revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { createLog } from '#platform/log.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { FaultyStore } from './faulty-store.ts';
import { draftOf, manyTenants, ROUTING_NOTE, routingDocument } from './routing.ts';
import { until } from './wait.ts';

const log = createLog({ service: 'test', level: 'silent' });
const text = (value: Uint8Array | undefined) => new TextDecoder().decode(value);
const clock = { nowMs: () => Date.parse('2026-01-01T00:00:00.000Z') };
const revisionsOver = (store: KeyValueStore) => new RevisionStore({ store, log });
const portsOver = (store: KeyValueStore) => ({ store: revisionsOver(store), clock });
const contentOf = (snapshot: RoutingSnapshot | undefined) => snapshot && toDocument(snapshot);

/** The other one of two shards than manyTenants puts a tenant on. */
const otherShard = (index: number): string => `s${(index + 1) % 2}`;
const moveOther = (ports: ReturnType<typeof portsOver>, index: number) =>
  publishChanges(ports, { changes: { changes: [{ tenant: `t${index}`, runner: otherShard(index) }] }, by: 'ann' });

/** What publishing and following routing revisions must do over every KeyValueStore; `empty` makes a new empty one. */
export function routingStoreSuite(empty: () => Promise<KeyValueStore>): void {
  it('publishes a first revision that another process reads whole', async () => {
    const store = await empty();
    const published = await publishDocument(portsOver(store), {
      document: routingDocument({ acme: 's1' }),
      by: 'ann',
      note: 'first',
    });
    expect(published).toMatchObject({ ok: true, value: { revision: 1, changed: true } });
    const read = await revisionsOver(store).head();
    expect(read).toMatchObject({ revision: 1, parent: 0, by: 'ann', note: 'first', at: '2026-01-01T00:00:00.000Z' });
    expect(read?.placements.get('acme')?.runner).toEqual({ shard: 's1', epoch: 1 });
    expect(contentOf(read)).toEqual(contentOf(await revisionsOver(store).revision(1)));
  });

  it('has no revision before the first one', async () => {
    const store = await empty();
    expect(await revisionsOver(store).head()).toBeUndefined();
    expect(await revisionsOver(store).revision(1)).toBeUndefined();
    expect(await revisionsOver(store).list({ limit: 10 })).toEqual([]);
    const moved = await publishChanges(portsOver(store), {
      changes: { changes: [{ tenant: 'a', runner: null }] },
      by: 'ann',
    });
    expect(moved).toMatchObject({ ok: false, error: { code: 'not_found' } });
  });

  it('keeps the old routing when a document has mistakes, and names each', async () => {
    const store = await empty();
    const ports = portsOver(store);
    await publishDocument(ports, { document: routingDocument({ acme: 's1' }), by: 'ann' });
    const mistaken = { runner_placement: { 'A B': 's1', acme: 's9' }, runner_shards: { s1: { endpoints: {} } } };
    const refused = await publishDocument(ports, { document: mistaken, by: 'ann' });
    expect(refused).toMatchObject({ ok: false, error: { code: 'validation_failed' } });
    expect(refused.ok ? [] : refused.error.errors).toHaveLength(3);
    expect((await revisionsOver(store).head())?.revision).toBe(1);
  });

  it('answers the current revision when a document changes nothing', async () => {
    const store = await empty();
    const document = routingDocument({ acme: 's1' });
    await publishDocument(portsOver(store), { document, by: 'ann' });
    const again = await publishDocument(portsOver(store), { document, by: 'bob' });
    expect(again).toMatchObject({ ok: true, value: { revision: 1, changed: false } });
  });

  it('lets one of two documents win and tells the other who did', async () => {
    const store = await empty();
    const faulty = new FaultyStore(store);
    await publishDocument(portsOver(store), { document: routingDocument({}), by: 'ann' });
    faulty.faults.commit = async (writes, real) => {
      delete faulty.faults.commit;
      await publishDocument(portsOver(store), { document: routingDocument({ acme: 's1' }), by: 'bob' });
      expect(writes).toHaveLength(1);
      return real();
    };
    const lost = await publishDocument(portsOver(faulty), { document: routingDocument({ acme: 's2' }), by: 'ann' });
    expect(lost).toMatchObject({ ok: false, error: { code: 'conflict' } });
    expect(lost.ok ? '' : lost.error.detail).toMatch(/Revision 2 by bob/);
    expect((await revisionsOver(store).head())?.placements.get('acme')?.runner?.shard).toBe('s1');
  });

  it('lands concurrent moves one after another, none lost', async () => {
    const store = await empty();
    await publishDocument(portsOver(store), { document: manyTenants({ tenants: 4, shards: 2 }), by: 'ann' });
    const moves = [0, 1, 2, 3].map((index) => {
      const changes = {
        changes: [{ tenant: `t${index}`, runner: index % 2 === 0 ? 's1' : 's0' }],
        note: `move ${index}`,
      };
      return publishChanges(portsOver(store), { changes, by: 'ann' });
    });
    const outcomes = await Promise.all(moves);
    expect(outcomes.map((outcome) => (outcome.ok ? outcome.value.revision : outcome.error.code)).sort()).toEqual([
      2, 3, 4, 5,
    ]);
    const head = await revisionsOver(store).head();
    const runners = [0, 1, 2, 3].map((index) => head?.placements.get(`t${index}`)?.runner?.shard);
    expect(runners).toEqual(['s1', 's0', 's1', 's0']);
    expect(head?.kindRevisions).toEqual({ aggregate: 1, projection: 1, runner: 5 });
  });

  it('lands 200 moves asked for at once in one process, each its own revision', async () => {
    const store = await empty();
    const ports = portsOver(store);
    await publishDocument(ports, { document: manyTenants({ tenants: 200, shards: 2 }), by: 'ann' });
    const outcomes = await Promise.all(Array.from({ length: 200 }, (_, index) => moveOther(ports, index)));
    const landed = outcomes.map((outcome) => (outcome.ok ? outcome.value.revision : outcome.error.code));
    expect(landed).toEqual(Array.from({ length: 200 }, (_, index) => index + 2));
    const head = await revisionsOver(store).head();
    for (let index = 0; index < 200; index += 1) {
      expect(head?.placements.get(`t${index}`)?.runner).toEqual({ shard: otherShard(index), epoch: index + 2 });
    }
    expect(await revisionsOver(store).list({ limit: 300 })).toHaveLength(201);
  });

  it('loses no move when two processes publish at once: each landed or was told of a conflict', async () => {
    const store = await empty();
    await publishDocument(portsOver(store), { document: manyTenants({ tenants: 100, shards: 2 }), by: 'ann' });
    const processes = [portsOver(store), portsOver(store)];
    const asked = processes.flatMap((ports, which) =>
      Array.from({ length: 50 }, (_, nth) => ({ ports, index: 50 * which + nth })),
    );
    const outcomes = await Promise.all(
      asked.map(async ({ ports, index }) => ({ index, outcome: await moveOther(ports, index) })),
    );
    const head = await revisionsOver(store).head();
    const landed: number[] = [];
    for (const { index, outcome } of outcomes) {
      const runner = head?.placements.get(`t${index}`)?.runner;
      if (outcome.ok) {
        landed.push(outcome.value.revision);
        expect(runner).toEqual({ shard: otherShard(index), epoch: outcome.value.revision });
      } else {
        expect(outcome.error.code).toBe('conflict');
        expect(runner).toEqual({ shard: `s${index % 2}`, epoch: 1 });
      }
    }
    expect(landed.length).toBeGreaterThanOrEqual(50);
    expect(landed.sort((left, right) => left - right)).toEqual(landed.map((_, index) => index + 2));
    expect(head?.revision).toBe(landed.length + 1);
  });

  it('refuses a publication that expected another revision', async () => {
    const store = await empty();
    const ports = portsOver(store);
    await publishDocument(ports, { document: routingDocument({}), by: 'ann', expectedRevision: 0 });
    const late = await publishDocument(ports, {
      document: routingDocument({ a: 's1' }),
      by: 'ann',
      expectedRevision: 0,
    });
    expect(late).toMatchObject({ ok: false, error: { code: 'precondition_failed' } });
  });

  it('lists revisions newest first in pages and rolls back to one as a new revision', async () => {
    const store = await empty();
    const ports = portsOver(store);
    for (const shard of ['s1', 's2', 's1', 's2']) {
      await publishDocument(ports, {
        document: routingDocument({ acme: shard, globex: 's1' }),
        by: 'ann',
        note: shard,
      });
    }
    const revisions = revisionsOver(store);
    expect((await revisions.list({ limit: 3 })).map(({ revision }) => revision)).toEqual([4, 3, 2]);
    const last = await revisions.list({ limit: 3, before: 2 });
    expect(last.map(({ revision, note }) => [revision, note])).toEqual([[1, 's1']]);

    const back = await rollback(portsOver(store), { revision: 1, by: 'bob' });
    expect(back).toMatchObject({ ok: true, value: { revision: 5, changed: true } });
    const head = await revisionsOver(store).head();
    expect(contentOf(head)).toEqual(contentOf(await revisions.revision(1)));
    expect(head?.placements.get('acme')?.runner).toEqual({ shard: 's1', epoch: 5 });
    expect(head?.placements.get('globex')?.runner).toEqual({ shard: 's1', epoch: 1 });
    expect(await rollback(ports, { revision: 99, by: 'bob' })).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
  });

  it('writes only what a move touches', async () => {
    const faulty = new FaultyStore(await empty());
    const ports = portsOver(faulty);
    await publishDocument(ports, { document: manyTenants({ tenants: 2_000, shards: 3 }), by: 'ann' });
    faulty.writes.length = 0;
    await publishChanges(ports, { changes: { changes: [{ tenant: 't7', aggregate: 's0' }] }, by: 'ann' });
    const written = faulty.writes.map((key) => key.split('.')[0] ?? '');
    expect(written.slice(0, 2).sort()).toEqual(['chunk', 'manifest']);
    expect(written.slice(2)).toEqual(['head', 'rev']);
  });

  it('feeds a source: a move from the one message of the head, other revisions by the parts that differ', async () => {
    const faulty = new FaultyStore(await empty());
    const ports = portsOver(faulty);
    await publishDocument(ports, { document: manyTenants({ tenants: 2_000, shards: 3 }), by: 'ann' });
    await using source = new RevisionSource({ store: faulty, log });
    const seen: number[] = [];
    source.onRevision((snapshot) => seen.push(snapshot.revision));
    await until(() => source.current()?.revision === 1, { deadlineMs: 5_000, what: 'the first revision' });
    expect(contentOf(source.current())).toEqual(contentOf(await ports.store.head()));

    faulty.reads.length = 0;
    const before = source.current();
    await publishChanges(ports, { changes: { changes: [{ tenant: 't7', aggregate: 's0' }] }, by: 'ann' });
    await until(() => source.current()?.revision === 2, { deadlineMs: 5_000, what: 'the move' });
    expect(faulty.reads.filter((key) => key !== 'head')).toEqual([]);
    expect(source.current()?.placements.get('t7')?.aggregate).toEqual({ shard: 's0', epoch: 2 });
    expect(source.current()?.shards.runner).toBe(before?.shards.runner);

    const tenants = LIMITS.inlineChangesMaxCount + 1;
    const many = Array.from({ length: tenants }, (_, index) => ({ tenant: `new-${index}`, runner: 's1' }));
    await publishChanges(ports, { changes: { changes: many }, by: 'ann' });
    await until(() => source.current()?.revision === 3, { deadlineMs: 5_000, what: 'the large change' });
    const parts = faulty.reads.filter((key) => key.startsWith('chunk.'));
    expect(parts.length).toBeLessThanOrEqual(tenants);
    expect(contentOf(source.current())).toEqual(contentOf(await ports.store.head()));
    expect(seen).toEqual([1, 2, 3]);
    expect(source.problem()).toBeUndefined();
    expect(source.isComplete()).toBe(true);
  });

  it('makes a proper revision of a table put into head by hand', async () => {
    const store = await empty();
    const revisions = revisionsOver(store);
    const parent = await revisions.publish(draftOf(routingDocument({ acme: 's1' })), undefined);
    await using source = new RevisionSource({
      store,
      log,
      onForeignHead: () => void adoptInlineHead({ store, revisions: revisionsOver(store), clock, log }),
    });
    await until(() => source.current()?.revision === 1, { deadlineMs: 5_000, what: 'the first revision' });
    const inline = JSON.stringify({ table: routingDocument({ acme: 's2' }), note: 'by hand' });
    await store.commit([{ key: 'head', value: Buffer.from(inline) }]);
    const adopted = await until(() => source.current()?.revision === 2 && source.current(), {
      deadlineMs: 5_000,
      what: 'the table',
    });
    expect(adopted).toMatchObject({ parent: 1, by: 'kv', note: 'by hand' });
    expect(adopted.placements.get('acme')?.runner).toEqual({ shard: 's2', epoch: 2 });
    expect((await revisionsOver(store).list({ limit: 5 })).map(({ revision }) => revision)).toEqual([2, 1]);
    const status = await until(async () => (await store.get('status.head'))?.value, {
      deadlineMs: 5_000,
      what: 'status',
    });
    expect(JSON.parse(text(status))).toMatchObject({ source: 'inline', state: 'published', revision: 2 });
    // A publisher that still believes in the first revision loses.
    const late = revisionFromChanges(parent, [{ tenant: 'acme', runner: 's2' }], ROUTING_NOTE);
    if (late === undefined) throw new Error('nothing to publish');
    await expect(revisions.publish(late, parent)).rejects.toMatchObject({ kind: 'conflict' });
  });

  it.each([JSON.stringify({ table: { runner_placement: { acme: 's9', 'B B': 's8' } } }), 'no JSON at all'])(
    'refuses a bad head put by hand, says why and puts the last good one back: %s',
    async (bad) => {
      const store = await empty();
      const revisions = revisionsOver(store);
      await revisions.publish(draftOf(routingDocument({ acme: 's1' })), undefined);
      await using source = new RevisionSource({ store, log });
      await until(() => source.current()?.revision === 1, { deadlineMs: 5_000, what: 'the first revision' });
      await store.commit([{ key: 'head', value: Buffer.from(bad) }]);
      await until(() => source.problem() !== undefined, { deadlineMs: 5_000, what: 'the source to see it' });
      expect(source.current()?.revision).toBe(1);
      const outcome = await adoptInlineHead({ store, revisions: revisionsOver(store), clock, log });
      expect(outcome).toMatchObject({ state: 'refused', revision: 1 });
      const status: unknown = JSON.parse(text((await store.get('status.head'))?.value));
      expect(status).toMatchObject({
        source: 'inline',
        state: 'refused',
        errors: expect.arrayContaining([expect.anything()]),
      });
      expect((await revisionsOver(store).head())?.revision).toBe(1);
      await until(() => source.problem() === undefined, { deadlineMs: 5_000, what: 'the head to be back' });
      await publishDocument(portsOver(store), { document: routingDocument({ acme: 's2' }), by: 'ann' });
      await until(() => source.current()?.revision === 2, { deadlineMs: 5_000, what: 'the next revision' });
    },
  );

  it('removes a bad first head put by hand, so that a proper one can come', async () => {
    const store = await empty();
    await store.commit([{ key: 'head', value: Buffer.from('{"table":7}') }]);
    await adoptInlineHead({ store, revisions: revisionsOver(store), clock, log });
    const published = await publishDocument(portsOver(store), { document: routingDocument({}), by: 'ann' });
    expect(published).toMatchObject({ ok: true, value: { revision: 1 } });
  });

  it('collects what no kept revision names, and goes on publishing', async () => {
    const store = await empty();
    const revisions = new RevisionStore({ store, log, keptCount: 2 });
    const ports = { store: revisions, clock };
    const documents = ['s1', 's2', 's3', 's1'].map((shard) => routingDocument({ acme: shard }, ['s1', shard, 's9']));
    for (const document of documents) await publishDocument(ports, { document, by: 'ann' });
    expect((await revisions.collect()).removed).toBeGreaterThan(0);
    expect(await revisions.collect()).toEqual({ removed: 0 });
    expect((await revisionsOver(store).list({ limit: 5 })).map(({ revision }) => revision)).toEqual([4, 3]);
    for (const revision of [3, 4]) {
      expect(contentOf(await revisionsOver(store).revision(revision))).toEqual(
        toDocument(draftOf(documents[revision - 1])),
      );
    }
    // The very content whose parts were removed, published by one who does not know that they were.
    const again = await publishDocument(ports, { document: documents[1], by: 'ann' });
    expect(again).toMatchObject({ ok: true, value: { revision: 5 } });
    expect((await revisionsOver(store).head())?.placements.get('acme')?.runner?.shard).toBe('s2');
  });

  it('adopts a table once when several replicas try at the same time', async () => {
    const store = await empty();
    await revisionsOver(store).publish(draftOf(routingDocument({})), undefined);
    await store.commit([
      { key: 'head', value: Buffer.from(JSON.stringify({ table: routingDocument({ acme: 's1' }) })) },
    ]);
    const tries = [1, 2, 3].map(() => adoptInlineHead({ store, revisions: revisionsOver(store), clock, log }));
    const outcomes = await Promise.all(tries);
    expect(outcomes.filter((outcome) => typeof outcome === 'object')).toHaveLength(1);
    expect((await revisionsOver(store).head())?.revision).toBe(2);
  });
}
