import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { KeptParts } from '#adapters/routing/garbage/kept-parts.ts';
import { RevisionCollector } from '#adapters/routing/garbage/revision-collector.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { RevisionWriter } from '#adapters/routing/revision-writer.ts';
import { publishChanges, publishDocument, rollback } from '#app/publish-revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { createLog } from '#platform/log.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { FaultyStore } from '../../../support/faulty-store.ts';
import { draftOf, routingDocument } from '../../../support/routing.ts';
import { until } from '../../../support/wait.ts';

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

const moveTo = (shard: string) => ({ changes: [{ tenant: 'acme', runner: shard }] });

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
    // One that has not published these revisions: what a process published it need not read.
    const stranger = processOver(memory).store;
    const chunks = await keys(memory, 'chunk.');
    const manifest = (await ports.store.head())?.manifest ?? '';
    await memory.commit([{ key: `manifest.${manifest}`, value: Buffer.from('{}') }]);
    await expect(stranger.collect()).rejects.toThrow(/damaged/);
    await memory.commit([{ key: `manifest.${manifest}` }]);
    await expect(stranger.collect()).rejects.toThrow(/missing/);
    await memory.commit([{ key: 'rev.6', value: Buffer.from('{}') }]);
    await expect(stranger.collect()).rejects.toThrow(/rev\.6 is damaged/);
    expect(await keys(memory, 'chunk.')).toEqual(chunks);
  });

  it('removes nothing while a table put by hand stands in head', async () => {
    const { memory, ports } = await withSixRevisions();
    await memory.commit([{ key: 'head', value: Buffer.from('{"table":{}}') }]);
    expect(await ports.store.collect()).toEqual({ removed: 0 });
  });

  it('begins again when somebody publishes just before its fence, and gives up when that never ends', async () => {
    const { memory } = await withSixRevisions();
    const faulty = new FaultyStore(memory);
    let variant = 9;
    const interrupted = (times: number) => {
      let left = times;
      faulty.faults.commit = async (writes, real) => {
        if (writes[0]?.key === 'head' && left-- > 0) {
          variant += 1;
          await publishDocument(processOver(memory), { document: documentOf(variant), by: 'bob' });
        }
        return real();
      };
    };
    interrupted(100);
    const all = (await keys(memory, 'chunk.')).length;
    await expect(processOver(faulty).store.collect()).rejects.toMatchObject({ kind: 'conflict' });
    expect((await keys(memory, 'chunk.')).length).toBeGreaterThanOrEqual(all);
    interrupted(2);
    expect((await processOver(faulty).store.collect()).removed).toBeGreaterThan(0);
    await expectKeptAreReadable(memory);
  });

  it('goes on when others publish between its fence and its look, and leaves all that is theirs', async () => {
    const { memory, ports } = await withSixRevisions();
    const faulty = new FaultyStore(memory);
    const publish = (variant: number) =>
      publishDocument(ports, { document: documentOf(variant), by: 'bob', retryOnConflict: true });
    faulty.faults.keys = async (prefix, real) => {
      await publish(prefix.length);
      const found = await real();
      await publish(20 + prefix.length);
      return found;
    };
    expect((await processOver(faulty).store.collect()).removed).toBeGreaterThan(0);
    expect((await ports.store.head())?.revision).toBe(12);
    await expectKeptAreReadable(memory);
  });

  it('reads only what is new since its last round, and no chunk ever', async () => {
    const memory = createMemoryKeyValueStore();
    const faulty = new FaultyStore(memory);
    const others = processOver(memory);
    const { store } = processOver(faulty);
    for (const variant of [1, 2, 3, 4]) await publishDocument(others, { document: documentOf(variant), by: 'ann' });
    await store.collect();
    faulty.reads.length = 0;
    expect(await store.collect()).toEqual({ removed: 0 });
    expect(faulty.reads).toEqual(['head']);
    const fresh = await publishDocument(others, { document: documentOf(5), by: 'ann' });
    expect(fresh.ok).toBe(true);
    faulty.reads.length = 0;
    expect((await store.collect()).removed).toBeGreaterThan(0);
    const manifest = (await others.store.head())?.manifest;
    // rev.4 was known; the copy of the newest one is read when it is there.
    expect(faulty.reads).toEqual(['head', 'rev.5', `manifest.${manifest}`]);
  });

  it('reads nothing of what its own process published, and remembers no more than is kept', async () => {
    const faulty = new FaultyStore(createMemoryKeyValueStore());
    const collector = new RevisionCollector(faulty, KEPT);
    const writer = new RevisionWriter(faulty, (copy) => collector.learn(copy));
    let parent: RoutingSnapshot | undefined;
    let headRevision = 0;
    for (let variant = 1; variant <= 5; variant += 1) {
      const written = await writer.write(draftOf(documentOf(variant), parent), parent, headRevision);
      parent = written.snapshot;
      headRevision = written.headRevision;
    }
    faulty.reads.length = 0;
    const fence = await collector.fence();
    if (fence === undefined) throw new Error('there is a head');
    expect((await collector.sweep(fence, 1)).removed).toBeGreaterThan(0);
    expect(faulty.reads).toEqual(['head']);
    expect(collector.remembered()).toMatchObject({ revisions: KEPT, manifests: KEPT });
    expect(await keys(faulty, 'manifest.')).toHaveLength(KEPT);
    expect(await keys(faulty, 'chunk.')).toHaveLength(collector.remembered().parts);
    await expectKeptAreReadable(faulty);
  });

  it('reads a copy that was written again once more', async () => {
    const { memory } = await withSixRevisions();
    const faulty = new FaultyStore(memory);
    const { store } = processOver(faulty);
    await store.collect();
    const copy = await memory.get('rev.5');
    await memory.commit([{ key: 'rev.5', value: copy?.value ?? Buffer.alloc(0) }]);
    faulty.reads.length = 0;
    await store.collect();
    expect(faulty.reads).toEqual(['head', 'rev.5']);
  });

  it('keeps a revision whose copy a listing passed over', async () => {
    const { memory } = await withSixRevisions();
    const faulty = new FaultyStore(memory);
    faulty.faults.keys = async (_prefix, real) => (await real()).filter(({ key }) => key !== 'rev.5');
    expect((await processOver(faulty).store.collect()).removed).toBeGreaterThan(0);
    await expectKeptAreReadable(memory);
  });

  it('leaves little garbage until it is more, unless it is asked', async () => {
    const { memory, ports } = await withSixRevisions();
    const before = await keys(memory, 'chunk.');
    expect(await ports.store.collect({ garbageMinCount: 1_000 })).toEqual({ removed: 0 });
    expect(await keys(memory, 'chunk.')).toEqual(before);
    expect((await ports.store.collect()).removed).toBeGreaterThan(0);
  });

  it('runs by itself every so many revisions, and publications do not wait for it', async () => {
    const memory = createMemoryKeyValueStore();
    const store = new RevisionStore({ store: memory, log, keptCount: KEPT, collectEveryCount: 8 });
    for (let variant = 1; variant <= 16; variant += 1) {
      await publishDocument({ store, clock }, { document: documentOf(variant), by: 'ann' });
    }
    await until(async () => (await keys(memory, 'rev.')).length === KEPT, { deadlineMs: 5_000, what: 'the round' });
    await expectKeptAreReadable(memory);
  });

  it('lets its own process publish after its fence without a conflict', async () => {
    const { memory } = await withSixRevisions();
    const faulty = new FaultyStore(memory);
    const ports = processOver(faulty);
    await publishDocument(ports, { document: documentOf(7), by: 'ann' });
    await ports.store.collect();
    faulty.writes.length = 0;
    const moved = await publishChanges(ports, { changes: moveTo('s1'), by: 'ann' });
    expect(moved).toMatchObject({ ok: true, value: { changed: true } });
    expect(faulty.writes.filter((key) => key === 'head')).toHaveLength(1);
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
      fc.record({ do: fc.constant('move' as const), shard: fc.constantFrom('s1', 's2') }),
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
              else if (each.do === 'move')
                await publishChanges(ports, { changes: moveTo(each.shard), by: `p${index}` });
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

const names = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 6 });
const step = fc.oneof(
  fc.record({ do: fc.constant('add' as const), manifest: fc.constantFrom('m1', 'm2', 'm3', 'm4') }),
  fc.record({ do: fc.constant('keep' as const), manifests: fc.subarray(['m1', 'm2', 'm3', 'm4']) }),
);

describe('KeptParts', () => {
  it('knows exactly the parts that the remembered manifests name', () => {
    fc.assert(
      fc.property(fc.array(names, { minLength: 4, maxLength: 4 }), fc.array(step), (contents, steps) => {
        const kept = new KeptParts();
        const partsOf = new Map(contents.map((parts, index) => [`m${index + 1}`, parts]));
        const model = new Set<string>();
        for (const each of steps) {
          if (each.do === 'add') {
            kept.addManifest(each.manifest, partsOf.get(each.manifest) ?? []);
            model.add(each.manifest);
          } else {
            kept.keepOnly({ revisions: new Set(), manifests: new Set(each.manifests) });
            for (const manifest of model) if (!each.manifests.includes(manifest)) model.delete(manifest);
          }
          const named = new Set([...model].flatMap((manifest) => partsOf.get(manifest) ?? []));
          for (const name of ['a', 'b', 'c', 'd', 'e'] as const) expect(kept.hasPart(name)).toBe(named.has(name));
          expect(kept.sizes()).toEqual({ revisions: 0, manifests: model.size, parts: named.size });
        }
      }),
    );
  });

  it('knows the manifest of a copy by its write, until it is forgotten', () => {
    const kept = new KeptParts();
    kept.setRevision(7, { write: 70, manifest: 'm' });
    expect([kept.manifestOf(7, 70), kept.manifestOf(7, 71), kept.manifestOf(8, 70)]).toEqual([
      'm',
      undefined,
      undefined,
    ]);
    kept.keepOnly({ revisions: new Set([8]), manifests: new Set() });
    expect(kept.manifestOf(7, 70)).toBeUndefined();
    expect(kept.sizes().revisions).toBe(0);
  });
});
