import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { QuarantineStatus } from '#adapters/routing/quarantine-status.ts';
import { LIMITS } from '#domain/limits.ts';
import type { QuarantinedShard } from '#ports/replica-board.ts';
import { silentLog } from '../../support/nats.ts';
import { until } from '../../support/wait.ts';

const clock = { nowMs: () => 0 };
const shard = (name: string): QuarantinedShard => ({
  ...{ kind: 'projection', shard: name, sinceRevision: 7, pointer: `/projection_shards/${name}` },
  ...{ error: 'no', at: '2026-01-01T00:00:00.000Z', serving: 'nothing' },
});

function setUp() {
  const store = createMemoryKeyValueStore();
  const newStatus = (replica = 'xds-1', from: Pick<typeof store, 'get' | 'commit'> = store) =>
    new QuarantineStatus({ store: from, replica, clock, log: silentLog });
  const read = async () => {
    const record = await store.get('status.quarantine');
    return record && JSON.parse(Buffer.from(record.value).toString('utf8'));
  };
  const untilShards = (names: readonly string[]) =>
    until(
      async () => {
        const record = await read();
        return record?.quarantined.map((entry: { shard: string }) => entry.shard).join() === names.join();
      },
      { deadlineMs: 5_000, what: `the record to name ${names.join()}` },
    );
  return { store, newStatus, read, untilShards };
}

describe('status.quarantine', () => {
  it('says what is kept back, and that nothing is any more', async () => {
    const { newStatus, read, untilShards } = setUp();
    await using status = newStatus();
    status.request([shard('a')]);
    status.request([shard('a'), shard('b')]);
    await untilShards(['a', 'b']);
    expect(await read()).toMatchObject({
      ...{ schema: 1, replica: 'xds-1', count: 2 },
      quarantined: [{ kind: 'projection', since_revision: 7, pointer: '/projection_shards/a', serving: 'nothing' }, {}],
    });
    status.request([]);
    await untilShards([]);
  });

  it('is not written where there is nothing to say, and keeps what another replica says', async () => {
    const { newStatus, read, untilShards } = setUp();
    {
      await using status = newStatus();
      status.request([]);
    }
    expect(await read()).toBeUndefined();
    await using one = newStatus('xds-1');
    one.request([shard('a')]);
    await untilShards(['a']);
    {
      await using other = newStatus('xds-2');
      other.request([]);
    }
    expect((await read()).quarantined).toHaveLength(1);
  });

  it('is cleared by the restarted replica that wrote it', async () => {
    const { newStatus, untilShards } = setUp();
    {
      await using before = newStatus();
      before.request([shard('a')]);
      await untilShards(['a']);
    }
    await using after = newStatus();
    after.request([]);
    await untilShards([]);
  });

  it('is written when the storage is back, with what is true then, and is bounded', async () => {
    const { store, newStatus, read } = setUp();
    let failures = 1;
    const faulty = {
      get: store.get.bind(store),
      commit: (...writes: Parameters<typeof store.commit>) => {
        failures -= 1;
        return failures >= 0 ? Promise.reject(new Error('away')) : store.commit(...writes);
      },
    };
    await using status = newStatus('xds-1', faulty);
    status.request([shard('a')]);
    const many = Array.from({ length: LIMITS.quarantinedStoredMaxCount + 1 }, (_, index) => shard(`s${index}`));
    status.request(many);
    await until(async () => (await read())?.count === many.length, { deadlineMs: 5_000, what: 'the record' });
    expect((await read()).quarantined).toHaveLength(LIMITS.quarantinedStoredMaxCount);
  });
});
