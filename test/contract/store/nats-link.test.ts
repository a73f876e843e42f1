import { describe, expect, it } from 'vitest';
import { openNats } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { NatsReplicaBoard } from '#adapters/nats/replica-board.ts';
import { StoreError } from '#ports/key-value-store.ts';
import { silentLog, startNats } from '../../support/nats.ts';
import { until } from '../../support/wait.ts';

describe('a link that was opened while NATS is away', () => {
  it('is usable at once: everything says "unavailable", and works when NATS is there', async () => {
    await using server = await startNats();
    const { url } = server;
    await server.kill();
    await using link = openNats({ url, name: 'early', log: silentLog });
    let times = 0;
    link.onConnected(() => {
      times += 1;
    });
    expect(link.isConnected()).toBe(false);
    expect(() => link.nc).toThrow(StoreError);
    const store = new NatsKeyValueStore(link, 'ANY', silentLog);
    for (const asked of [store.get('a'), store.keys('a.'), store.commit([{ key: 'a', value: Buffer.from('1') }])]) {
      await expect(asked).rejects.toMatchObject({ kind: 'unavailable' });
    }
    await using board = new NatsReplicaBoard(link, silentLog);
    board.announce({ role: 'xds', replica: 'early', routingRevision: 3 });
    expect(board.live('xds')).toHaveLength(1);

    await server.restart();
    await until(() => link.isConnected(), { deadlineMs: 10_000, what: 'the first connection' });
    expect(times).toBe(1);
    await using other = new NatsReplicaBoard(await server.connect(), silentLog);
    // Both ways: it told the other without being asked again, and hears of it.
    other.announce({ role: 'authz', replica: 'other', routingRevision: 4 });
    await until(() => other.live('xds').length === 1 && board.live('authz').length === 1, {
      deadlineMs: 5_000,
      what: 'the two boards to hear each other',
    });
  });

  it('tells of each connection, and exchanges presence again at once after a break', async () => {
    await using server = await startNats();
    const link = await server.connect();
    let times = 0;
    const stop = link.onConnected(() => {
      times += 1;
    });
    expect(times).toBe(1);
    await server.restart();
    await until(() => times === 2, { deadlineMs: 20_000, what: 'the connection to be made again' });
    stop();
    await server.restart();
    await until(() => !link.isConnected(), { deadlineMs: 20_000, what: 'the break' });
    await until(() => link.isConnected(), { deadlineMs: 20_000, what: 'the third connection' });
    expect(times).toBe(2);
  });

  it('can be given up before it was ever connected', async () => {
    await using server = await startNats();
    const { url } = server;
    await server.kill();
    const link = openNats({ url, name: 'given up', log: silentLog });
    await link[Symbol.asyncDispose]();
    expect(link.isConnected()).toBe(false);
  });
});
