import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, move, PASSWORD, type Person, signIn } from '../support/edge-client.ts';
import { startGatewayWithMember } from '../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../support/launcher.ts';
import { until } from '../support/wait.ts';

/** What happens when parts die, freeze or start again (design section 7). */
let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;

beforeAll(async () => {
  ({ gateway, http, admin, member } = await startGatewayWithMember());
  await move(http, admin, { tenant: 'acme', projection: 's2' });
});
afterAll(() => gateway[Symbol.asyncDispose]());

const query = () => ask(http, '/v1/query/orders', { token: member.token, tenant: 'acme', body: {} });
const untilServed = (what: string) =>
  until(async () => (await query()).status === 200, { deadlineMs: 60_000, what: `queries to be served after ${what}` });

/** Stops a child where it stands (SIGSTOP) while `work` runs: there, but answering nobody. */
async function frozen(name: string, work: () => Promise<void>): Promise<void> {
  const pid = (await gateway.run()).pids[name];
  if (pid === undefined) throw new Error(`${name} does not run`);
  process.kill(pid, 'SIGSTOP');
  try {
    await work();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

describe('kill -9', () => {
  it.each(['nats', 'xds', 'authz', 'envoy', 'hasher', 'node.projection.s2'])(
    '%s comes back by itself; users and routing are still there',
    async (name) => {
      await gateway.restarted(name, await gateway.kill(name));
      await untilServed(`kill -9 of ${name}`);
      const answer = await query();
      expect(answer.headers.get('x-served-by')).toBe('projection/s2');
      await until(async () => (await ask(http, '/ready')).status === 200, { deadlineMs: 30_000, what: 'ready' });
      // Writes work again too: a session is written, and a move is in force.
      const signedIn = await until(() => signIn(http, member.email), { deadlineMs: 30_000, what: 'a sign-in' });
      expect(signedIn.userId).toBe(member.userId);
      await until(async () => (await move(http, admin, { tenant: 'acme', projection: 's1' })).status === 200, {
        deadlineMs: 30_000,
        what: 'a move to be published',
      });
      await until(async () => (await query()).headers.get('x-served-by') === 'projection/s1', {
        deadlineMs: 10_000,
        what: 'the move to be in force',
      });
      await move(http, admin, { tenant: 'acme', projection: 's2' });
      await until(async () => (await query()).headers.get('x-served-by') === 'projection/s2', {
        deadlineMs: 10_000,
        what: 'the move back to be in force',
      });
    },
  );
});

describe('while a part does not answer, requests with a valid token are served', () => {
  it('nats; writes are refused as storage_unavailable', async () => {
    await frozen('nats', async () => {
      const refused = await until(
        async () => {
          const answer = await ask(http, '/v1/auth/signup', {
            body: { email: 'late@example.com', password: PASSWORD },
          });
          return answer.status === 503 && answer;
        },
        { deadlineMs: 20_000, what: 'a write to be refused' },
      );
      expect(refused.body).toMatchObject({ code: 'storage_unavailable' });
      for (let index = 0; index < 50; index += 1) expect((await query()).status).toBe(200);
    });
    await until(async () => (await move(http, admin, { tenant: 'globex', projection: 's1' })).status === 200, {
      deadlineMs: 30_000,
      what: 'writes to work again',
    });
  });

  it('xds; and what was published meanwhile comes into force afterwards', async () => {
    await frozen('xds', async () => {
      for (let index = 0; index < 50; index += 1) expect((await query()).status).toBe(200);
    });
    await untilServed('xds thawed');
  });

  it('no authz: nobody is let in', async () => {
    await frozen('authz', async () => {
      const answer = await query();
      expect(answer.status).toBe(503);
      expect(answer.body).toMatchObject({ code: 'routing_unavailable' });
    });
    await untilServed('authz thawed');
  });
});

describe('a second start on the same data', () => {
  it('keeps users, sessions and routing', async () => {
    const before = (await ask(http, '/admin/routing', { token: admin.token })).body['revision'];
    expect(await gateway.stop()).toBe(0);
    await gateway.start();
    ({ http } = await gateway.run());
    const again = await signIn(http, member.email);
    expect(again.userId).toBe(member.userId);
    await untilServed('the second start');
    expect((await query()).headers.get('x-served-by')).toBe('projection/s2');
    const refreshed = await ask(http, '/v1/auth/refresh', { body: { refresh_token: member.refreshToken } });
    expect(refreshed.status).toBe(200);
    const after = (await ask(http, '/admin/routing', { token: admin.token })).body['revision'];
    expect(Number(after)).toBeGreaterThanOrEqual(Number(before));
  });
});
