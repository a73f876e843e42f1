import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NatsReplicaBoard } from '#adapters/nats/replica-board.ts';
import { type NatsServer, silentLog, startNats } from '../../support/nats.ts';
import { until } from '../../support/wait.ts';

describe('the replica board', () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const board = async (name: string) => new NatsReplicaBoard(await server.connect(name), silentLog);

  it('tells each replica what the others said, also to one that starts later', async () => {
    await using first = await board('first');
    first.announce({ role: 'authz', replica: 'a1', routingRevision: 7, iamRevision: 3 });
    await using late = await board('late');
    await until(() => late.live('authz').length === 1, { deadlineMs: 2_000, what: 'the late one to hear of a1' });
    expect(late.live('authz')[0]).toMatchObject({ replica: 'a1', routingRevision: 7, iamRevision: 3 });
    expect(late.live('xds')).toEqual([]);
    let told = 0;
    late.onChange(() => {
      told += 1;
    });
    first.announce({ role: 'authz', replica: 'a1', routingRevision: 8, iamRevision: 3 });
    await until(() => late.live('authz')[0]?.routingRevision === 8, { deadlineMs: 2_000, what: 'the change' });
    expect(told).toBe(1);
  });

  it('counts itself, and forgets a replica that left', async () => {
    await using stays = await board('stays');
    stays.announce({ role: 'authz', replica: 'stays', routingRevision: 1 });
    expect(stays.live('authz').map((state) => state.replica)).toContain('stays');
    const leaves = await board('leaves');
    leaves.announce({ role: 'authz', replica: 'leaves', routingRevision: 1 });
    await until(() => stays.live('authz').length === 2, { deadlineMs: 2_000, what: 'both' });
    await leaves[Symbol.asyncDispose]();
    await until(() => stays.live('authz').length === 1, { deadlineMs: 2_000, what: 'the other to be gone' });
  });

  it('does not count a replica that fell silent', async () => {
    await using watcher = await board('watcher');
    const silent = await server.connect('silent');
    const gone = new NatsReplicaBoard(silent, silentLog);
    gone.announce({ role: 'xds', replica: 'gone', routingRevision: 1 });
    await until(() => watcher.live('xds').length === 1, { deadlineMs: 2_000, what: 'it to appear' });
    await silent.nc.close();
    await until(() => watcher.live('xds').length === 0, { deadlineMs: 6_000, what: 'the lease to run out' });
    await gone[Symbol.asyncDispose]();
  });

  it('ignores what it cannot read', async () => {
    await using reader = await board('reader');
    const link = await server.connect('noise');
    link.nc.publish('gateway.replica.authz.x', 'not json');
    link.nc.publish('gateway.replica.authz.y', '{"role":"king","replica":"y","routingRevision":1}');
    link.nc.publish('gateway.replica.authz.z', '{"role":"authz","replica":"z","routingRevision":1}');
    await until(() => reader.live('authz').some((state) => state.replica === 'z'), { deadlineMs: 2_000, what: 'z' });
    expect(reader.live('authz').map((state) => state.replica)).toEqual(['z']);
  });
});
