import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NatsReplicaBoard } from '#adapters/nats/replica-board.ts';
import { LIMITS } from '#domain/limits.ts';
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

  describe('questions', () => {
    const asked = { topic: 'colour', body: { of: 'sky' } };
    const silent = () => undefined;

    it('reach every replica, the one that asks included, and end when all have answered', async () => {
      await using first = await board('first');
      await using second = await board('second');
      first.announce({ role: 'authz', replica: 'q1', routingRevision: 1 });
      second.announce({ role: 'xds', replica: 'q2', routingRevision: 1 });
      await until(() => first.live('xds').length === 1, { deadlineMs: 2_000, what: 'q2' });
      const seen: unknown[] = [];
      first.answer('colour', () => 'blue');
      second.answer('colour', (body) => {
        seen.push(body);
        return { colour: ['grey'] };
      });
      const startedAt = performance.now();
      const answers = await first.ask(asked);
      expect(performance.now() - startedAt).toBeLessThan(LIMITS.replicaAnswerWaitMaxMs);
      expect(answers).toEqual([
        { role: 'authz', replica: 'q1', body: 'blue' },
        { role: 'xds', replica: 'q2', body: { colour: ['grey'] } },
      ]);
      expect(seen).toEqual([{ of: 'sky' }]);
    });

    it('to one role are not held up by the others', async () => {
      await using first = await board('first');
      await using second = await board('second');
      first.announce({ role: 'authz', replica: 'r1', routingRevision: 1 });
      second.announce({ role: 'xds', replica: 'r2', routingRevision: 1, validator: true });
      await until(() => first.live('xds')[0]?.validator === true, { deadlineMs: 2_000, what: 'r2' });
      second.answer('colour', () => 'grey');
      const startedAt = performance.now();
      expect(await first.ask({ ...asked, role: 'xds' })).toEqual([{ role: 'xds', replica: 'r2', body: 'grey' }]);
      expect(performance.now() - startedAt).toBeLessThan(LIMITS.replicaAnswerWaitMaxMs);
    });

    it('wait no longer than the limit for who is silent, fails or does not know the topic', async () => {
      await using first = await board('first');
      await using second = await board('second');
      await using third = await board('third');
      first.announce({ role: 'authz', replica: 'w1', routingRevision: 1 });
      second.announce({ role: 'authz', replica: 'w2', routingRevision: 1 });
      third.announce({ role: 'xds', replica: 'w3', routingRevision: 1 });
      await until(() => first.live('authz').length === 2 && first.live('xds').length === 1, {
        deadlineMs: 2_000,
        what: 'all three',
      });
      first.answer('colour', () => 'blue');
      second.answer('colour', () => {
        throw new Error('colour-blind');
      });
      const startedAt = performance.now();
      expect((await first.ask(asked)).map(({ replica }) => replica)).toEqual(['w1']);
      const tookMs = performance.now() - startedAt;
      expect(tookMs).toBeGreaterThanOrEqual(LIMITS.replicaAnswerWaitMaxMs - 20);
      expect(tookMs).toBeLessThan(4 * LIMITS.replicaAnswerWaitMaxMs);
    });

    it('get no answer of a topic that is over, of nothing to say, or of a process that is no replica', async () => {
      await using first = await board('first');
      await using stranger = await board('stranger');
      first.announce({ role: 'authz', replica: 'e1', routingRevision: 1 });
      stranger.answer('colour', () => 'pink');
      const stop = first.answer('colour', () => 'blue');
      stop();
      expect(await first.ask(asked)).toEqual([]);
      first.answer('colour', silent);
      expect(await first.ask(asked)).toEqual([]);
    });

    it('are not disturbed by noise on the subject', async () => {
      await using first = await board('first');
      first.announce({ role: 'authz', replica: 'n1', routingRevision: 1 });
      first.answer('colour', () => 'blue');
      const link = await server.connect('noise');
      link.nc.publish('gateway.replicas.ask', 'not json');
      link.nc.publish('gateway.replicas.ask', '{"topic":7}');
      await link.nc.flush();
      expect(await first.ask(asked)).toEqual([{ role: 'authz', replica: 'n1', body: 'blue' }]);
    });
  });

  it('answers for itself when NATS is away', async () => {
    await using own = await startNats();
    await using alone = new NatsReplicaBoard(await own.connect('alone'), silentLog);
    alone.announce({ role: 'authz', replica: 'alone', routingRevision: 1 });
    alone.answer('colour', () => 'blue');
    await own.kill();
    const answers = await alone.ask({ topic: 'colour', body: null });
    expect(answers).toEqual([{ role: 'authz', replica: 'alone', body: 'blue' }]);
  });
});
