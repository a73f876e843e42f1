import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, move, type Person } from '../support/edge-client.ts';
import { startGatewayWithMember } from '../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../support/launcher.ts';
import { until } from '../support/wait.ts';

/**
 * What of the control plane may be away while requests with a valid token are routed: everything. In each cell parts of
 * it go away, an Envoy runs on or starts anew, and queries are served all the same; then all come back and a move works.
 *
 * NATS is away by SIGSTOP: the launcher would start a killed one again at once. The kernel still accepts connections to
 * it and nobody ever answers, which is harder on its clients than a refused connection.
 *
 * xds is away by SIGSTOP where an Envoy runs on, and killed -9 at the end of that. A stopped xds can give nothing to an
 * Envoy that starts anew, and no design could: the cells with a new Envoy kill xds and Envoy in one moment, and both are
 * started by their supervisor, which is what a machine that restarts does. With NATS away as well, the new xds has
 * nothing but its disk.
 */
const QUERIES_COUNT = 60;

let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;

beforeAll(async () => {
  ({ gateway, http, admin, member } = await startGatewayWithMember());
  // The routing in force is one that was pushed, not the one the gateway began with.
  expect((await move(http, admin, { tenant: 'acme', projection: 's2' })).status).toBe(200);
  await untilServedBy('s2');
  await untilKept();
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const query = () => ask(http, '/v1/query/orders', { token: member.token, tenant: 'acme', body: {} });

const servedBy = async () => (await query()).headers.get('x-served-by');

const untilServedBy = (shard: string) =>
  until(async () => (await servedBy()) === `projection/${shard}`, { deadlineMs: 30_000, what: `${shard} to serve` });

/** All of them are routed to where the tenant is. */
async function expectQueriesServed(): Promise<void> {
  const answers: string[] = [];
  for (let index = 0; index < QUERIES_COUNT; index += 1) {
    const { status, headers } = await query();
    answers.push(`${status} ${headers.get('x-served-by') ?? ''}`);
  }
  expect(answers).toEqual(answers.map(() => '200 projection/s2'));
  expect(answers).toHaveLength(QUERIES_COUNT);
}

async function pidOf(name: string): Promise<number> {
  const pid = (await gateway.run()).pids[name];
  if (pid === undefined) throw new Error(`${name} does not run`);
  return pid;
}

/** Stops a child where it stands until the end of the scope. */
async function frozen(name: string): Promise<Disposable> {
  const pid = await pidOf(name);
  process.kill(pid, 'SIGSTOP');
  return { [Symbol.dispose]: () => void process.kill(pid, 'SIGCONT') };
}

/** kill -9 of all of them in one moment, and the wait until their supervisor has started them again. */
async function killAndRestart(...names: readonly string[]): Promise<void> {
  const pids = await Promise.all(names.map(async (name) => [name, await pidOf(name)] as const));
  for (const [, pid] of pids) process.kill(pid, 'SIGKILL');
  await Promise.all(pids.map(([name, pid]) => gateway.restarted(name, pid)));
}

async function conditionOfXds(name: string): Promise<string> {
  const { xds } = await gateway.run();
  const { conditions } = (await (await fetch(`${xds.http}/ready`)).json()) as {
    readonly conditions: readonly { readonly name: string; readonly detail?: string }[];
  };
  return conditions.find((each) => each.name === name)?.detail ?? '';
}

const untilXds = (name: string, detail: RegExp) =>
  until(async () => detail.test(await conditionOfXds(name)), {
    deadlineMs: 30_000,
    what: `condition ${name} of xds to be ${detail.source}`,
  });

const untilKept = () =>
  until(async () => (await conditionOfXds('last_known_good')) === (await conditionOfXds('routing_revision')), {
    deadlineMs: 10_000,
    what: 'the routing to be on the disk of xds',
  });

/** How often Envoy has changed its configuration. */
async function configurationChanges(): Promise<string> {
  const { envoyAdmin } = await gateway.run();
  const filter =
    'cluster_manager.cluster_(added|modified|removed)|listener_manager.listener_(added|modified)|config_reload';
  return (await fetch(`${envoyAdmin}/stats?filter=${encodeURIComponent(filter)}`)).text();
}

/** With everything there again, a move is published and comes into force; it is taken back after that. */
async function expectMovesWork(): Promise<void> {
  for (const shard of ['s1', 's2']) {
    await until(async () => (await move(http, admin, { tenant: 'acme', projection: shard })).status === 200, {
      deadlineMs: 40_000,
      what: 'a move to be published',
    });
    await untilServedBy(shard);
  }
  await untilXds('source', /^storage, /);
  await untilKept();
}

describe('an Envoy that runs on', () => {
  it('routes while NATS is away', async () => {
    {
      using _ = await frozen('nats');
      await untilXds('storage', /^not connected$/);
      await expectQueriesServed();
    }
    await expectMovesWork();
  });

  it('routes while xds is away, and when it starts again', async () => {
    {
      using _ = await frozen('xds');
      await expectQueriesServed();
      process.kill(await pidOf('xds'), 'SIGKILL');
    }
    await expectQueriesServed();
    await expectMovesWork();
  });

  it('routes while both are away, and sees no change when xds starts again without NATS', async () => {
    {
      using _ = await frozen('nats');
      const before = await configurationChanges();
      expect(before).toMatch(/cluster_added: [1-9][\s\S]*config_reload: [1-9]/);
      const restarting = killAndRestart('xds');
      await expectQueriesServed();
      await restarting;
      await untilXds('source', /^disk, revision /);
      await untilEnvoyIsBack();
      await expectQueriesServed();
      expect(await configurationChanges()).toBe(before);
    }
    await expectMovesWork();
  });
});

describe('an Envoy that starts anew', () => {
  it('comes up and routes while NATS is away', async () => {
    {
      using _ = await frozen('nats');
      await untilXds('storage', /^not connected$/);
      await killAndRestart('envoy');
      await untilServedBy('s2');
      await expectQueriesServed();
    }
    await expectMovesWork();
  });

  it('comes up and routes when xds starts anew with it', async () => {
    await killAndRestart('xds', 'envoy');
    await untilServedBy('s2');
    await expectQueriesServed();
    await expectMovesWork();
  });

  it('comes up and routes from the disk of an xds that starts anew with it while NATS is away', async () => {
    {
      using _ = await frozen('nats');
      await killAndRestart('xds', 'envoy');
      await untilServedBy('s2');
      expect(await conditionOfXds('source')).toMatch(/^disk, revision /);
      await expectQueriesServed();
    }
    await expectMovesWork();
  });
});

describe('what no disk helps against', () => {
  it('is an authz service that starts while NATS is away: it lets nobody in, and decides when NATS is back', async () => {
    {
      using _ = await frozen('nats');
      await killAndRestart('authz');
      for (let index = 0; index < 10; index += 1) {
        const refused = await query();
        expect([refused.status, refused.body['code']]).toEqual([503, 'routing_unavailable']);
      }
    }
    await untilServedBy('s2');
    await expectMovesWork();
  });
});

const untilEnvoyIsBack = () =>
  until(
    async () => {
      const { xds } = await gateway.run();
      return /^gateway_xds_envoys\S* 1$/m.test(await (await fetch(`${xds.http}/metrics`)).text());
    },
    { deadlineMs: 30_000, what: 'Envoy to be connected to the new xds' },
  );
