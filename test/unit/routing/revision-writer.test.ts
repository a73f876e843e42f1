import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument } from '#app/publish-revision.ts';
import { createLog } from '#platform/log.ts';
import { StoreError } from '#ports/key-value-store.ts';
import { FaultyStore } from '../../support/faulty-store.ts';
import { routingDocument } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';

const log = createLog({ service: 'test', level: 'silent' });
const unknown = () => new StoreError('outcome_unknown', 'no answer');

function setUp() {
  const memory = createMemoryKeyValueStore();
  const store = new FaultyStore(memory);
  const clock = { nowMs: () => 0 };
  const ports = { store: new RevisionStore({ store, log }), clock };
  const others = { store: new RevisionStore({ store: memory, log }), clock };
  return { memory, store, ports, others };
}

const publishFirst = (ports: Parameters<typeof publishDocument>[0]) =>
  publishDocument(ports, { document: routingDocument({ acme: 's1' }), by: 'ann' });

describe('a publication', () => {
  it('that got no answer for the head and was done succeeds', async () => {
    const { store, ports } = setUp();
    store.faults.commit = async (writes, real) => {
      const done = await real();
      if (writes[0]?.key === 'head') throw unknown();
      return done;
    };
    expect(await publishFirst(ports)).toMatchObject({ ok: true, value: { revision: 1, changed: true } });
    expect(await ports.store.list({ limit: 5 })).toHaveLength(1);
  });

  it('that got no answer, was done and is succeeded already succeeds too', async () => {
    const { store, ports, others } = setUp();
    store.faults.commit = async (writes, real) => {
      const done = await real();
      if (writes[0]?.key !== 'head') return done;
      delete store.faults.commit;
      await publishChanges(others, { changes: { changes: [{ tenant: 'acme', runner: 's2' }] }, by: 'bob' });
      throw unknown();
    };
    expect(await publishFirst(ports)).toMatchObject({ ok: true, value: { revision: 1 } });
    expect((await others.store.head())?.revision).toBe(2);
  });

  it('that got no answer and lost to another one is a conflict', async () => {
    const { store, ports, others } = setUp();
    store.faults.commit = async (writes, real) => {
      if (writes[0]?.key !== 'head') return real();
      delete store.faults.commit;
      await publishDocument(others, { document: routingDocument({ acme: 's2' }), by: 'bob' });
      throw unknown();
    };
    expect(await publishFirst(ports)).toMatchObject({ ok: false, error: { code: 'conflict' } });
  });

  it('that got no answer and is not there says that it does not know', async () => {
    const { store, ports } = setUp();
    store.faults.commit = async (writes, real) => {
      if (writes[0]?.key === 'head') throw unknown();
      return real();
    };
    const outcome = await publishFirst(ports);
    expect(outcome).toMatchObject({ ok: false, error: { code: 'storage_unavailable' } });
    expect(outcome.ok ? '' : outcome.error.detail).toMatch(/did not say/);
  });

  it('writes a part again that got no answer', async () => {
    const { store, ports } = setUp();
    let failures = 3;
    store.faults.commit = async (writes, real) => {
      if (writes[0]?.key.startsWith('chunk.') === true && failures-- > 0) throw unknown();
      return real();
    };
    expect(await publishFirst(ports)).toMatchObject({ ok: true });
  });

  it('fails as a whole when the storage is away, and nothing is published', async () => {
    const { memory, ports } = setUp();
    memory.setAvailable(false);
    expect(await publishFirst(ports)).toMatchObject({ ok: false, error: { code: 'storage_unavailable' } });
    memory.setAvailable(true);
    expect(await memory.get('head')).toBeUndefined();
  });

  it('that meets a collection in the middle writes its parts again and lands', async () => {
    const { memory, store, ports, others } = setUp();
    await publishFirst(others);
    for (const shard of ['s2', 's1', 's2']) {
      await publishChanges(others, { changes: { changes: [{ tenant: 'acme', runner: shard }] }, by: 'bob' });
    }
    const collector = new RevisionStore({ store: memory, log, keptCount: 1 });
    let collections = 0;
    store.faults.commit = async (writes, real) => {
      if (writes[0]?.key === 'head' && collections === 0) {
        collections += 1;
        expect((await collector.collect()).removed).toBeGreaterThan(0);
      }
      return real();
    };
    expect(await publishFirst(ports)).toMatchObject({ ok: true, value: { revision: 5 } });
    expect(store.writes.filter((key) => key === 'head')).toHaveLength(2);
    expect((await new RevisionStore({ store: memory, log }).head())?.revision).toBe(5);
  });

  it('repairs the copy of its parent that was never written', async () => {
    const { memory, store, ports, others } = setUp();
    store.faults.commit = async (writes, real) => {
      if (writes[0]?.key.startsWith('rev.') === true) throw new StoreError('unavailable', 'gone');
      return real();
    };
    expect(await publishFirst(ports)).toMatchObject({ ok: true });
    expect(await memory.get('rev.1')).toBeUndefined();
    expect(await others.store.revision(1)).toBeDefined();
    expect(await others.store.list({ limit: 5 })).toHaveLength(1);
    await publishChanges(others, { changes: { changes: [{ tenant: 'acme', runner: 's2' }] }, by: 'bob' });
    expect(await memory.get('rev.1')).toBeDefined();
    const [newest, oldest] = await others.store.list({ limit: 5 });
    expect([newest?.by, oldest?.by]).toEqual(['bob', 'ann']);
  });

  it('answers before the copy of the revision is written, and the next one makes sure of it', async () => {
    const { memory, store, ports } = setUp();
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    store.faults.commit = async (writes, real) => {
      if (writes[0]?.key === 'rev.1') await held;
      return real();
    };
    expect(await publishFirst(ports)).toMatchObject({ ok: true });
    expect(await memory.get('rev.1')).toBeUndefined();
    expect(await ports.store.revision(1)).toMatchObject({ revision: 1 });
    const next = publishChanges(ports, { changes: { changes: [{ tenant: 'acme', runner: 's2' }] }, by: 'bob' });
    await until(() => store.writes.some((key, at) => at > 3 && key.startsWith('manifest.')), {
      deadlineMs: 5_000,
      what: 'the parts of the next one',
    });
    expect((await ports.store.head())?.revision).toBe(1);
    release();
    expect(await next).toMatchObject({ ok: true, value: { revision: 2 } });
    expect(await memory.get('rev.1')).toBeDefined();
    expect(store.writes.filter((key) => key === 'rev.1')).toHaveLength(1);
  });

  it('is found although its copy and the next revision are written just while somebody looks for it', async () => {
    const { store, ports, others } = setUp();
    await publishFirst(others);
    store.faults.get = async (key, real) => {
      if (key !== 'rev.1') return real();
      delete store.faults.get;
      await publishChanges(others, { changes: { changes: [{ tenant: 'acme', runner: 's2' }] }, by: 'bob' });
      return undefined;
    };
    expect(await ports.store.revision(1)).toMatchObject({ revision: 1 });
    expect(await ports.store.revision(7)).toBeUndefined();
  });

  it('of changes reads nothing when this process published the revision before', async () => {
    const { store, ports } = setUp();
    await publishFirst(ports);
    store.reads.length = 0;
    for (const runner of ['s2', 's1']) {
      const moved = await publishChanges(ports, { changes: { changes: [{ tenant: 'acme', runner }] }, by: 'ann' });
      expect(moved).toMatchObject({ ok: true, value: { changed: true } });
    }
    expect(store.reads).toEqual([]);
  });

  it('of changes is decided by the newest revision, not by the one this process knows', async () => {
    const { ports, others } = setUp();
    await publishFirst(ports);
    const put = (document: unknown) => publishDocument(others, { document, by: 'bob' });
    const move = (tenant: string, runner: string | null, expectedRevision?: number) =>
      publishChanges(ports, { changes: { changes: [{ tenant, runner }] }, by: 'ann', expectedRevision });
    await put(routingDocument({ acme: 's2' }));
    // To this process acme is on s1, so that there would be nothing to do.
    expect(await move('acme', 's1')).toMatchObject({ ok: true, value: { revision: 3, changed: true } });
    await put(routingDocument({ acme: 's1' }, ['s1', 's2', 's3']));
    // A shard that this process does not know yet.
    expect(await move('acme', 's3')).toMatchObject({ ok: true, value: { revision: 5 } });
    await put(routingDocument({ acme: 's1' }, ['s1']));
    // One that it knows and that is gone: only the newest revision says so.
    expect(await move('acme', 's2')).toMatchObject({ ok: false, error: { code: 'validation_failed' } });
    await put(routingDocument({ acme: 's2' }));
    expect(await move('acme', 's1', 7)).toMatchObject({ ok: true, value: { revision: 8 } });
    expect(await move('acme', 's2', 7)).toMatchObject({ ok: false, error: { code: 'precondition_failed' } });
    await put(routingDocument({ acme: 's2' }));
    expect(await move('acme', 's1', 8)).toMatchObject({ ok: false, error: { code: 'precondition_failed' } });
  });

  it('says storage_unavailable when the head cannot be read as a revision', async () => {
    const { memory, others } = setUp();
    await memory.commit([{ key: 'head', value: Buffer.from('{"schema":99}') }]);
    expect(await publishFirst(others)).toMatchObject({ ok: false, error: { code: 'storage_unavailable' } });
  });
});
