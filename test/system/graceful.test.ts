import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { ask, gatewayctl, move, type Person } from '../support/edge-client.ts';
import { startGatewayWithMember } from '../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../support/launcher.ts';
import { grpcClient, http1Client, http2Client, type KeptClient, type Send } from '../support/load/kept-clients.ts';
import { until } from '../support/wait.ts';
import { startTwoAuthz } from './graceful/two-authz.ts';

/** Everything that ends, ends without losing a request; and the access log proves how requests were routed. */
let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;

beforeAll(async () => {
  ({ gateway, http, admin, member } = await startGatewayWithMember());
  await until(async () => (await query()).status === 200, { deadlineMs: 30_000, what: 'queries to be served' });
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const credentials = () => ({ authorization: `Bearer ${member.token}`, 'x-tenant-id': 'acme' });
const query = (body: unknown = {}) => ask(http, '/v1/query/orders', { token: member.token, tenant: 'acme', body });

let sequence = 0;
const nextId = (): string => {
  sequence += 1;
  return `cmd-${sequence}`;
};
/** Queries that take a moment, so that some are under way whatever happens. */
const slowQuery = (): Send => ({
  path: '/v1/query/orders',
  headers: credentials(),
  body: { delay_ms: (sequence % 5) * 50 },
});
const nextCommand = () => {
  const id = nextId();
  return {
    request: {
      ...{ command_id: id, aggregate_type: 'order', aggregate_id: id },
      command_type: `test.delay.${(sequence % 5) * 50}`,
    },
    headers: credentials(),
  };
};
const jsonCommand = (): Send => {
  const id = nextId();
  const body = { command_id: id, command_type: 'order.place', payload: {} };
  return { path: `/v1/commands/order/${id}`, headers: credentials(), body };
};

const whoAmI = (): Send => ({ path: '/v1/auth/me', headers: { authorization: `Bearer ${member.token}` } });

const startClients = (): readonly KeptClient[] => [
  http1Client(http, slowQuery, 40),
  http1Client(http, jsonCommand, 20),
  http2Client(http, slowQuery, 40),
  http2Client(http, jsonCommand, 20),
  grpcClient(http, nextCommand, 40),
];

const stopAll = (clients: readonly KeptClient[]) => Promise.all(clients.map((client) => client.stop()));
const servedBy = (clients: readonly KeptClient[]) => clients.map(({ tally }) => tally.served);
const lostBy = (clients: readonly KeptClient[]) => clients.flatMap(({ tally }) => tally.lost);
const untilEachServed = (clients: readonly KeptClient[], count: number) =>
  until(() => servedBy(clients).every((served) => served >= count), {
    deadlineMs: 30_000,
    what: `each client to be served ${count} times`,
  });

/** The access log when Envoy has written all that has happened so far: it ends with a request of ours. */
async function accessLog(): Promise<string> {
  const marker = nextId();
  await ask(http, '/health', { headers: { 'x-correlation-id': marker } });
  return until(
    async () => {
      const text = await readFile(join(gateway.dataFolder, 'logs', 'access.log'), 'utf8');
      return text.includes(`"${marker}"`) && text;
    },
    { deadlineMs: 10_000, what: 'the access log to be written' },
  );
}

const verify = async (file: string) => {
  const { exitCode, stdout } = await gatewayctl(gateway, ['logs', 'verify', file, '--json']);
  return { exitCode, report: JSON.parse(stdout) };
};

describe('the access log', () => {
  it('of a run with moves proves that each request was routed as it was decided, through restarts of xds', async () => {
    const clients = startClients();
    await untilEachServed(clients, 5);
    for (let count = 0; count < 12; count += 1) {
      const shard = count % 2 === 0 ? 's2' : 's1';
      const { status } = await move(http, admin, { tenant: 'acme', projection: shard, aggregate: shard });
      expect(status).toBe(200);
      if (count === 6) process.kill((await gateway.run()).pids['xds'] ?? 0, 'SIGTERM');
      await until(async () => (await query()).headers.get('x-served-by') === `projection/${shard}`, {
        deadlineMs: 30_000,
        what: `move ${count} to be in force`,
      });
    }
    await untilEachServed(clients, 50);
    await stopAll(clients);
    expect(lostBy(clients)).toEqual([]);
    expect((await ask(http, '/v1/query/orders', { token: member.token, tenant: 'globex', body: {} })).status).toBe(403);
    const file = join(gateway.dataFolder, 'verified.log');
    await writeFile(file, await accessLog());
    const { exitCode, report } = await verify(file);
    expect(report).toMatchObject({ ok: true, offendingLines: 0 });
    expect(exitCode).toBe(0);
    expect(report.routedBy.last - report.routedBy.first).toBeGreaterThanOrEqual(12);
    expect(report.fates.routed).toBeGreaterThan(300);
    expect(report.fates.denied).toBeGreaterThanOrEqual(1);
    expect(report.fates.undecided).toBeGreaterThanOrEqual(1);

    // One line that was tampered with is found among all, by its number.
    const lines = (await readFile(file, 'utf8')).split('\n');
    const at = lines.findLastIndex((line) => line.includes('"upstream_cluster":"projection/'));
    lines[at] =
      lines[at]?.replace(/"upstream_cluster":"projection\/s[12]"/, '"upstream_cluster":"projection/s9"') ?? '';
    await writeFile(file, lines.join('\n'));
    const tampered = await verify(file);
    expect(tampered.exitCode).toBe(1);
    expect(tampered.report.offending).toMatchObject([{ number: at + 1, mistakes: ['cluster_differs'] }]);
  });

  it('and the log of authz are found by each id that an answer has', async () => {
    const headers = { 'x-correlation-id': nextId() };
    const served = await ask(http, '/v1/query/orders', { token: member.token, tenant: 'acme', body: {}, headers });
    const denied = await ask(http, '/v1/query/orders', { token: member.token, tenant: 'globex', body: {}, headers });
    await accessLog();
    const find = async (id: unknown) => {
      const { stdout, exitCode } = await gatewayctl(gateway, ['logs', 'find', String(id), '--json']);
      return { exitCode, found: JSON.parse(stdout) };
    };
    const trace = String(served.headers.get('traceparent'));
    for (const id of [served.headers.get('x-request-id'), trace, trace.split('-')[1]]) {
      const { exitCode, found } = await find(id);
      expect(exitCode).toBe(0);
      expect(found.access).toMatchObject([{ entry: { status: 200, outcome: 'allow' } }]);
      expect(found.authz).toEqual([]);
    }
    for (const id of [denied.body['decision_id'], denied.body['request_id']]) {
      const { found } = await find(id);
      expect(found.access).toMatchObject([{ entry: { status: 403, outcome: 'deny', reason: 'tenant_forbidden' } }]);
      expect(found.authz).toMatchObject([{ entry: { msg: 'denied', reason: 'tenant_forbidden' } }]);
    }
    const both = await find(headers['x-correlation-id']);
    expect(both.found.access).toHaveLength(2);
    const read = await gatewayctl(gateway, ['logs', 'find', String(denied.body['decision_id'])]);
    expect(read.stdout).toMatch(/decision_id +dec_/);
    expect((await gatewayctl(gateway, ['logs', 'find', 'dec_unknown'])).exitCode).toBe(1);
  });
});

describe('two replicas of authz behind one Envoy', () => {
  it('are restarted in turn under load, and no request fails', async () => {
    await using edge = await startTwoAuthz(gateway);
    await edge.untilHealthy();
    const clients = [
      http1Client(edge.http, slowQuery, 60),
      http2Client(edge.http, slowQuery, 60),
      http1Client(edge.http, jsonCommand, 20),
      grpcClient(edge.http, nextCommand, 60),
      http1Client(edge.http, whoAmI, 40),
    ];
    const startedAt = performance.now();
    const sent = () => clients.reduce((sum, { tally }) => sum + tally.served + tally.lost.length, 0);
    const stops: number[] = [];
    while (sent() < 3_500 || stops.length < 4) {
      const replica = edge.replicas[stops.length % 2 === 0 ? 0 : 1];
      const { code, tookMs } = await replica.stop();
      expect(code).toBe(0);
      stops.push(tookMs);
      await replica.start();
      await edge.untilHealthy();
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    await stopAll(clients);
    expect(lostBy(clients)).toEqual([]);
    expect(clients.map(({ tally }) => tally.refused)).toEqual(clients.map(() => 0));
    expect(sent()).toBeGreaterThanOrEqual(3_000);
    expect(sent() / seconds).toBeGreaterThanOrEqual(200);
    // The end is bounded, and does not wait for the bound when all have noticed.
    expect(Math.max(...stops)).toBeLessThan(LIMITS.drainNoticeMaxMs + LIMITS.extAuthzTimeoutMs);
    const { report } = await verify(edge.accessLog);
    expect(report).toMatchObject({ ok: true, offendingLines: 0 });
  });
});

describe('SIGTERM of the launcher', () => {
  it('loses no request on HTTP/1.1, HTTP/2 and gRPC, slow ones included', async () => {
    const clients = startClients();
    await untilEachServed(clients, 20);
    const slow = [query({ delay_ms: 1_000 }), query({ delay_ms: 4_000 })];
    await until(async () => (await openRequests()) >= 2, { deadlineMs: 5_000, what: 'slow requests to be under way' });
    const before = servedBy(clients);
    const stopped = gateway.stop();
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200]);
    expect(await stopped).toBe(0);
    await stopAll(clients);
    expect(lostBy(clients)).toEqual([]);
    for (const [at, served] of servedBy(clients).entries()) expect(served).toBeGreaterThan((before[at] ?? 0) + 10);
    const { report } = await verify(join(gateway.dataFolder, 'logs', 'access.log'));
    expect(report).toMatchObject({ ok: true, offendingLines: 0 });
  });
});

async function openRequests(): Promise<number> {
  const { envoyAdmin } = await gateway.run();
  const text = await (
    await fetch(`${envoyAdmin}/stats?filter=${encodeURIComponent('^http.edge.downstream_rq_active')}`)
  ).text();
  return Number(text.split(': ')[1]);
}
