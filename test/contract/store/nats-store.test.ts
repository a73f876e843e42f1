import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBucket } from '#adapters/nats/bucket.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { type Change, type KeyValueStore, StoreError } from '#ports/key-value-store.ts';
import { type NatsServer, silentLog, startNats } from '../../support/nats.ts';
import { until } from '../../support/wait.ts';
import { keyValueStoreSuite } from './key-value-store.suite.ts';

const text = (value: string) => new TextEncoder().encode(value);

describe('KeyValueStore over a real nats-server', () => {
  let server: NatsServer;
  let store: KeyValueStore;

  beforeAll(async () => {
    server = await startNats();
    const link = await server.connect();
    await ensureBucket(link, { bucket: 'SUITE', replicas: 1 });
    store = new NatsKeyValueStore(link, 'SUITE', silentLog);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  keyValueStoreSuite(() => store);

  it('refuses a bucket whose settings are weaker than required', async () => {
    const link = await server.connect();
    await link.nc.request(
      '$JS.API.STREAM.CREATE.KV_WEAK',
      JSON.stringify({ name: 'KV_WEAK', subjects: ['$KV.WEAK.>'] }),
    );
    await expect(ensureBucket(link, { bucket: 'WEAK', replicas: 1 })).rejects.toThrow(/KV_WEAK has .* is required/);
  });

  it('creates a bucket once for many replicas that start together', async () => {
    const links = await Promise.all(Array.from({ length: 5 }, () => server.connect()));
    await Promise.all(links.map((link) => ensureBucket(link, { bucket: 'SHARED', replicas: 1 })));
  });
});

describe('a NATS server that crashes', () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('makes writes and reads fail as unavailable, and a watch catches up by itself', async () => {
    const link = await server.connect();
    await ensureBucket(link, { bucket: 'CRASH', replicas: 1 });
    const store = new NatsKeyValueStore(link, 'CRASH', silentLog);
    await store.commit([{ key: 'before', value: text('1') }]);
    const seen = new Map<string, Change>();
    let resets = 0;
    await using watch = store.watch({
      filters: ['>'],
      onReset: () => {
        resets += 1;
      },
      onChanges: (changes) => {
        for (const change of changes) seen.set(change.key, change);
      },
      onSynced: () => {},
    });
    await until(() => watch.appliedRevision() > 0, { deadlineMs: 5_000, what: 'the load' });

    await server.kill();
    await until(() => !link.isConnected(), { deadlineMs: 10_000, what: 'the connection to be found dead' });
    const kinds = await Promise.all(
      [store.get('before'), store.commit([{ key: 'x', value: text('1') }]), store.list('a.', { limit: 1 })].map(
        (call) =>
          call.then(
            () => 'answered',
            (error: unknown) => (error instanceof StoreError ? error.kind : String(error)),
          ),
      ),
    );
    expect(kinds).toEqual(['unavailable', 'unavailable', 'unavailable']);

    await server.restart();
    const other = new NatsKeyValueStore(await server.connect('other'), 'CRASH', silentLog);
    const { revision } = await other.commit([{ key: 'after', value: text('2') }]);
    await until(() => watch.appliedRevision() >= revision, { deadlineMs: 15_000, what: 'the watch to catch up' });
    expect([...seen.keys()].sort()).toEqual(['after', 'before']);
    expect(resets).toBe(1);
    expect(watch.stalenessMs()).toBeLessThan(3_000);
  });

  it('loads anew when the stream was replaced by another', async () => {
    const link = await server.connect();
    await ensureBucket(link, { bucket: 'REPLACED', replicas: 1 });
    const store = new NatsKeyValueStore(link, 'REPLACED', silentLog);
    await store.commit([{ key: 'old', value: text('1') }]);
    const seen = new Set<string>();
    await using watch = store.watch({
      filters: ['>'],
      onReset: () => seen.clear(),
      onChanges: (changes) => {
        for (const change of changes) seen.add(change.key);
      },
      onSynced: () => {},
    });
    await until(() => seen.has('old'), { deadlineMs: 5_000, what: 'the load' });
    await link.nc.request('$JS.API.STREAM.DELETE.KV_REPLACED');
    await ensureBucket(link, { bucket: 'REPLACED', replicas: 1 });
    await store.commit([{ key: 'new', value: text('1') }]);
    await until(() => seen.has('new') && !seen.has('old'), { deadlineMs: 15_000, what: 'the reload' });
    expect(watch.appliedRevision()).toBe(1);
  });

  it('notices when its consumer is removed behind its back', async () => {
    const link = await server.connect();
    await ensureBucket(link, { bucket: 'ROBBED', replicas: 1 });
    const store = new NatsKeyValueStore(link, 'ROBBED', silentLog);
    const seen = new Set<string>();
    await using watch = store.watch({
      filters: ['>'],
      onReset: () => {},
      onChanges: (changes) => {
        for (const change of changes) seen.add(change.key);
      },
      onSynced: () => {},
    });
    await store.commit([{ key: 'a', value: text('1') }]);
    await until(() => watch.appliedRevision() > 0 && seen.has('a'), { deadlineMs: 5_000, what: 'the load' });
    const names = (await link.nc.request('$JS.API.CONSUMER.NAMES.KV_ROBBED')).json<{ consumers: string[] }>().consumers;
    for (const name of names) await link.nc.request(`$JS.API.CONSUMER.DELETE.KV_ROBBED.${name}`);
    await store.commit([{ key: 'b', value: text('1') }]);
    await until(() => seen.has('b'), { deadlineMs: 10_000, what: 'the change after the loss' });
  });
});
