import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishDocument, rollback } from '#app/publish-revision.ts';
import { createLog } from '#platform/log.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { FaultyStore } from '../../support/faulty-store.ts';
import { routingDocument } from '../../support/routing.ts';

const log = createLog({ service: 'test', level: 'silent' });
const clock = { nowMs: () => 0 };
const KEPT = 3;

/** One process: its own memory, the same storage as the others. */
const processOver = (store: KeyValueStore) => ({ store: new RevisionStore({ store, log, keptCount: KEPT }), clock });

const keys = async (store: KeyValueStore, prefix: string) =>
  (await store.list(prefix, { limit: 10_000 })).map(({ key }) => key);

/** Documents that come back to the same shards, whose chunks are therefore wanted again after they were garbage. */
const documentOf = (variant: number) =>
  routingDocument(
    { acme: `s${1 + (variant % 2)}`, globex: variant % 3 === 0 ? 's2' : 's1', [`t${variant}`]: 's1' },
    variant % 4 === 3 ? ['s1', 's2', 's3'] : ['s1', 's2'],
  );

async function withSixRevisions() {
  const memory = createMemoryKeyValueStore();
  const ports = processOver(memory);
  for (let variant = 1; variant <= 6; variant += 1) {
    await publishDocument(ports, { document: documentOf(variant), by: 'ann' });
  }
  return { memory, ports };
}

describe('RevisionCollector', () => {
  it('removes old revisions and what only they named', async () => {
    const { memory, ports } = await withSixRevisions();
    const before = (await keys(memory, 'chunk.')).length;
    expect((await ports.store.collect()).removed).toBeGreaterThan(6);
    expect(await keys(memory, 'rev.')).toEqual(['rev.4', 'rev.5', 'rev.6']);
    expect(await keys(memory, 'manifest.')).toHaveLength(KEPT);
    expect((await keys(memory, 'chunk.')).length).toBeLessThan(before);
    const fresh = processOver(memory).store;
    for (const revision of [4, 5, 6]) expect((await fresh.revision(revision))?.revision).toBe(revision);
    expect(await fresh.revision(3)).toBeUndefined();
    expect((await fresh.list({ limit: 10 })).map(({ revision }) => revision)).toEqual([6, 5, 4]);
    expect(await ports.store.collect()).toEqual({ removed: 0 });
  });

  it('removes nothing while a manifest it needs cannot be read', async () => {
    const { memory, ports } = await withSixRevisions();
    const chunks = await keys(memory, 'chunk.');
    const manifest = (await ports.store.head())?.manifest ?? '';
    await memory.commit([{ key: `manifest.${manifest}`, value: Buffer.from('{}') }]);
    await expect(ports.store.collect()).rejects.toThrow(/damaged/);
    await memory.commit([{ key: `manifest.${manifest}` }]);
    await expect(ports.store.collect()).rejects.toThrow(/missing/);
    await memory.commit([{ key: 'rev.6', value: Buffer.from('{}') }]);
    await expect(ports.store.collect()).rejects.toThrow(/rev\.6 is damaged/);
    expect(await keys(memory, 'chunk.')).toEqual(chunks);
  });

  it('removes nothing while a table put by hand stands in head', async () => {
    const { memory, ports } = await withSixRevisions();
    await memory.commit([{ key: 'head', value: Buffer.from('{"table":{}}') }]);
    expect(await ports.store.collect()).toEqual({ removed: 0 });
  });

  it('gives up when somebody publishes between its look and its fence', async () => {
    const { memory } = await withSixRevisions();
    const faulty = new FaultyStore(memory);
    faulty.faults.commit = async (_writes, real) => {
      delete faulty.faults.commit;
      await publishDocument(processOver(memory), { document: documentOf(9), by: 'bob' });
      return real();
    };
    const chunks = await keys(memory, 'chunk.');
    await expect(processOver(faulty).store.collect()).rejects.toMatchObject({ kind: 'conflict' });
    expect(await keys(memory, 'chunk.')).toEqual(expect.arrayContaining(chunks));
  });

  it('leaves a part that is wanted again between its fence and the removal', async () => {
    const memory = createMemoryKeyValueStore();
    const ports = processOver(memory);
    const shards = [['s1', 's3'], ['s1'], ['s1', 's2'], ['s1']];
    for (const names of shards) await publishDocument(ports, { document: routingDocument({}, names), by: 'ann' });
    const faulty = new FaultyStore(memory);
    faulty.faults.commit = async (writes, real) => {
      if (writes[0]?.key.startsWith('chunk.') === true) {
        delete faulty.faults.commit;
        await publishDocument(ports, { document: routingDocument({}, ['s1', 's3']), by: 'bob' });
      }
      return real();
    };
    await processOver(faulty).store.collect();
    expect(faulty.faults.commit).toBeUndefined();
    expect((await processOver(memory).store.head())?.shards.runner.has('s3')).toBe(true);
  });

  it('never removes what a kept revision names, whatever publications and collections run into each other', async () => {
    const operation = fc.oneof(
      fc.record({ do: fc.constant('publish' as const), variant: fc.nat(6) }),
      fc.record({ do: fc.constant('rollback' as const), to: fc.integer({ min: 1, max: 8 }) }),
      fc.record({ do: fc.constant('collect' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(operation, { maxLength: 5 }), { minLength: 2, maxLength: 4 }),
        fc.scheduler(),
        async (processes, scheduler) => {
          const memory = createMemoryKeyValueStore();
          await publishDocument(processOver(memory), { document: documentOf(0), by: 'first' });
          await publishDocument(processOver(memory), { document: documentOf(1), by: 'first' });
          // Every commit of every process waits until the scheduler lets it go, in an order of its own.
          const running = processes.map(async (operations, index) => {
            const faulty = new FaultyStore(memory);
            faulty.faults.commit = (_writes, real) =>
              scheduler.schedule(Promise.resolve(), `commit of ${index}`).then(real);
            const ports = processOver(faulty);
            for (const each of operations) {
              if (each.do === 'publish')
                await publishDocument(ports, { document: documentOf(each.variant), by: `p${index}` });
              else if (each.do === 'rollback') await rollback(ports, { revision: each.to, by: `p${index}` });
              else await ports.store.collect().catch(() => undefined);
              await expectKeptAreReadable(memory);
            }
          });
          await scheduler.waitFor(Promise.all(running));
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});

/** The newest revision and every kept one load in a process that has nothing in memory. */
async function expectKeptAreReadable(memory: KeyValueStore): Promise<void> {
  const fresh = processOver(memory).store;
  const head = await fresh.head();
  expect(head?.revision).toBeGreaterThan(0);
  const newest = head?.revision ?? 0;
  for (let revision = newest; revision > Math.max(0, newest - KEPT); revision -= 1) {
    const read = await fresh.revision(revision).catch((error: unknown) => error);
    // Other processes go on while this one looks, so it may be too old to be kept by now.
    const now = (await processOver(memory).store.head())?.revision ?? 0;
    if (revision > now - KEPT) expect(read).toMatchObject({ revision });
  }
}
