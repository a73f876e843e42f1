import { expect, it } from 'vitest';
import { type Change, type KeyValueStore, StoreError } from '#ports/key-value-store.ts';
import { until } from '../../support/wait.ts';

const text = (value: string) => new TextEncoder().encode(value);
const read = (value: Uint8Array | undefined) => (value === undefined ? undefined : new TextDecoder().decode(value));

const kindOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof StoreError ? error.kind : String(error)),
  );

/** What every KeyValueStore must do; run on each implementation. */
export function keyValueStoreSuite(store: () => KeyValueStore): void {
  let serial = 0;
  const fresh = () => `t${++serial}-${Math.random().toString(36).slice(2)}`;

  it('returns what was committed, with its revision', async () => {
    const key = fresh();
    expect(await store().get(key)).toBeUndefined();
    const { revision } = await store().commit([{ key, value: text('one') }]);
    const record = await store().get(key);
    expect(read(record?.value)).toBe('one');
    expect(record?.revision).toBe(revision);
  });

  it('gives write i the revision of the last minus what follows it', async () => {
    const keys = [fresh(), fresh(), fresh()];
    const { revision } = await store().commit(keys.map((key) => ({ key, value: text(key) })));
    const revisions = await Promise.all(keys.map(async (key) => (await store().get(key))?.revision));
    expect(revisions).toEqual([revision - 2, revision - 1, revision]);
  });

  it.each(['first', 'middle', 'last'])('writes nothing when the %s expectation fails', async (place) => {
    const taken = fresh();
    await store().commit([{ key: taken, value: text('mine') }]);
    const others = [fresh(), fresh()].map((key) => ({ key, value: text('new'), expect: 0 }));
    const failing = { key: taken, value: text('stolen'), expect: 0 };
    const at = ['first', 'middle', 'last'].indexOf(place);
    const writes = [...others.slice(0, at), failing, ...others.slice(at)];
    expect(await kindOf(store().commit(writes))).toBe('conflict');
    expect(read((await store().get(taken))?.value)).toBe('mine');
    for (const other of others) expect(await store().get(other.key)).toBeUndefined();
  });

  it('lets one of many concurrent creators win', async () => {
    const key = fresh();
    const kinds = await Promise.all(
      Array.from({ length: 50 }, (_, index) => kindOf(store().commit([{ key, value: text(`${index}`), expect: 0 }]))),
    );
    expect(kinds.filter((kind) => kind === 'no error')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'conflict')).toHaveLength(49);
  });

  it('lets one of many concurrent batches win, whole', async () => {
    const key = fresh();
    const contenders = Array.from({ length: 20 }, () => fresh());
    const kinds = await Promise.all(
      contenders.map((own) =>
        kindOf(
          store().commit([
            { key, value: text(own), expect: 0 },
            { key: own, value: text('x'), expect: 0 },
          ]),
        ),
      ),
    );
    expect(kinds.filter((kind) => kind === 'no error')).toHaveLength(1);
    const written = await Promise.all(contenders.map((own) => store().get(own)));
    expect(written.filter((record) => record !== undefined).map((record) => record.key)).toEqual([
      read((await store().get(key))?.value),
    ]);
  });

  it('updates only at the expected revision', async () => {
    const key = fresh();
    const first = await store().commit([{ key, value: text('1') }]);
    const second = await store().commit([{ key, value: text('2'), expect: first.revision }]);
    expect(await kindOf(store().commit([{ key, value: text('3'), expect: first.revision }]))).toBe('conflict');
    expect((await store().get(key))?.revision).toBe(second.revision);
  });

  it('deletes, and a deleted key can be created again', async () => {
    const key = fresh();
    const { revision } = await store().commit([{ key, value: text('1') }]);
    await store().commit([{ key, expect: revision }]);
    expect(await store().get(key)).toBeUndefined();
    await store().commit([
      { key, value: text('2'), expect: 0 },
      { key: fresh(), value: text('with it'), expect: 0 },
    ]);
    expect(read((await store().get(key))?.value)).toBe('2');
  });

  it('forgets a record after its time to live', async () => {
    const key = fresh();
    await store().commit([{ key, value: text('brief'), ttlSeconds: 1 }]);
    expect(read((await store().get(key))?.value)).toBe('brief');
    await until(async () => (await store().get(key)) === undefined, {
      deadlineMs: 5_000,
      what: 'the record to expire',
    });
    await store().commit([{ key, value: text('again'), expect: 0 }]);
    expect(read((await store().get(key))?.value)).toBe('again');
  });

  it.each(['', 'a..b', 'a b', 'ä', '.a', 'a.'])('refuses %j as a key', async (key) => {
    expect(await kindOf(store().commit([{ key, value: text('x') }]))).toBe('invalid');
  });

  it('refuses an empty commit and a key named twice', async () => {
    const key = fresh();
    expect(await kindOf(store().commit([]))).toBe('invalid');
    const write = { key, value: text('x') };
    expect(await kindOf(store().commit([write, write]))).toBe('invalid');
  });

  it('lists in key order, in pages, without deleted keys', async () => {
    const prefix = `${fresh()}.`;
    const names = ['d', 'a', 'c', 'b', 'e'].map((name) => `${prefix}${name}`);
    for (const key of names) await store().commit([{ key, value: text(key) }]);
    await store().commit([{ key: `${prefix}c` }]);
    const first = await store().list(prefix, { limit: 2 });
    expect(first.map((record) => record.key)).toEqual([`${prefix}a`, `${prefix}b`]);
    const rest = await store().list(prefix, { limit: 10, after: `${prefix}b` });
    expect(rest.map((record) => record.key)).toEqual([`${prefix}d`, `${prefix}e`]);
    const keys = await store().keys(prefix);
    expect(keys.map(({ key }) => key)).toEqual(['a', 'b', 'd', 'e'].map((name) => `${prefix}${name}`));
    expect(keys[0]?.revision).toBe(first[0]?.revision);
    expect(keys[0]).not.toHaveProperty('value');
    expect(await store().keys(`${fresh()}.`)).toEqual([]);
  });

  it('lists more than one block of keys, each once', async () => {
    const prefix = `${fresh()}.`;
    const names = Array.from({ length: 150 }, (_, index) => `${prefix}${String(index).padStart(3, '0')}`);
    await store().commit(names.map((key) => ({ key, value: text(key) })));
    const all = await store().list(prefix, { limit: 500 });
    expect(all.map((record) => record.key)).toEqual(names);
    const some = await store().list(prefix, { limit: 70, after: `${prefix}009` });
    expect(some.map((record) => record.key)).toEqual(names.slice(10, 80));
  });

  it('watches: loads what is there, then follows, only what matches', async () => {
    const prefix = fresh();
    await store().commit([{ key: `${prefix}.before`, value: text('1') }]);
    await store().commit([{ key: `${prefix}.gone`, value: text('1') }]);
    await store().commit([{ key: `${prefix}.gone` }]);
    const seen = new Map<string, string | undefined>();
    const apply = (changes: readonly Change[]) => {
      for (const change of changes) seen.set(change.key, read(change.value));
    };
    let synced = 0;
    await using watch = store().watch({
      filters: [`${prefix}.>`],
      onReset: () => seen.clear(),
      onChanges: apply,
      onSynced: (revision) => {
        synced = revision;
      },
    });
    await until(() => synced > 0, { deadlineMs: 5_000, what: 'the load' });
    expect(seen.get(`${prefix}.before`)).toBe('1');
    expect(seen.get(`${prefix}.gone`)).toBeUndefined();
    await store().commit([
      { key: `${fresh()}.other`, value: text('no') },
      { key: `${prefix}.a`, value: text('2') },
      { key: `${prefix}.before` },
    ]);
    const { revision } = await store().commit([{ key: `${prefix}.b`, value: text('3') }]);
    await until(() => watch.appliedRevision() >= revision, { deadlineMs: 5_000, what: 'the last change' });
    expect(seen.get(`${prefix}.a`)).toBe('2');
    expect(seen.has(`${prefix}.before`)).toBe(true);
    expect(seen.get(`${prefix}.before`)).toBeUndefined();
    expect([...seen.keys()].every((key) => key.startsWith(prefix))).toBe(true);
    expect(watch.stalenessMs()).toBeLessThan(5_000);
  });

  it('watches an empty filter to the end of its load', async () => {
    let synced = false;
    await using watch = store().watch({
      filters: [`${fresh()}.>`],
      onReset: () => {},
      onChanges: () => {},
      onSynced: () => {
        synced = true;
      },
    });
    await until(() => synced, { deadlineMs: 5_000, what: 'the empty load' });
    expect(watch.appliedRevision()).toBeGreaterThan(0);
  });

  it('hands the writes of one commit to a watcher together', async () => {
    const prefix = fresh();
    const groups: string[][] = [];
    let synced = false;
    await using watch = store().watch({
      filters: [`${prefix}.>`],
      onReset: () => {},
      onChanges: (changes) => groups.push(changes.map((change) => change.key)),
      onSynced: () => {
        synced = true;
      },
    });
    await until(() => synced, { deadlineMs: 5_000, what: 'the load' });
    const outside = { key: fresh(), value: text('commit message outside of the filter') };
    const { revision } = await store().commit([
      { key: `${prefix}.a`, value: text('1') },
      { key: `${prefix}.b`, value: text('1') },
      outside,
    ]);
    await until(() => watch.appliedRevision() >= revision - 1, { deadlineMs: 5_000, what: 'the batch' });
    expect(groups).toEqual([[`${prefix}.a`, `${prefix}.b`]]);
  });

  it('loads anew for a listener that throws, and goes on', async () => {
    const prefix = fresh();
    const seen = new Set<string>();
    let failing = true;
    await using watch = store().watch({
      filters: [`${prefix}.>`],
      onReset: () => seen.clear(),
      onChanges: (changes) => {
        if (failing) {
          failing = false;
          throw new Error('a bug of the listener');
        }
        for (const change of changes) seen.add(change.key);
      },
      onSynced: () => {},
    });
    await until(() => watch.appliedRevision() > 0, { deadlineMs: 5_000, what: 'the load' });
    await store().commit([{ key: `${prefix}.a`, value: text('1') }]);
    await until(() => seen.has(`${prefix}.a`), { deadlineMs: 10_000, what: 'the reload' });
    await store().commit([{ key: `${prefix}.b`, value: text('1') }]);
    await until(() => seen.has(`${prefix}.b`), { deadlineMs: 5_000, what: 'the next change' });
    expect(await store().get(`${prefix}.b`)).toBeDefined();
  });
}
