import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { ask, type Person } from '../support/edge-client.ts';
import { startGatewayWithMember } from '../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../support/launcher.ts';
import { type EndpointProcess, startPair, withPair } from '../support/load/endpoint-process.ts';
import { type Flow, isRepeatable, startTraffic, type TrafficAnswer } from '../support/load/traffic.ts';
import { until } from '../support/wait.ts';
import { startTwoAuthz, type TwoAuthz } from './graceful/two-authz.ts';

/**
 * One of the two endpoints of a shard is killed under load, several times (design section 5.6): what may be repeated
 * does not fail, and what may not be repeated is executed once at most, whatever it was answered.
 */
const TENANT = 'acme';
const REQUESTS_PER_SECOND = 320;
const KILLS_COUNT = 2;
/** Between a kill and the start, and between that and the next kill. */
const PAUSE_MS = 1_000;
/** Longer than it takes health checks to take a replica out. */
const HANG_MS = 4_000;
/** More than the buffer of a connection: a repeat needs the whole body. */
const LARGE_BYTES = 200_000;

const FLOWS: readonly Flow[] = [
  { name: 'query http1', kind: 'query', wire: 'http1', tls: false },
  { name: 'command grpc', kind: 'command', wire: 'grpc', tls: false, id: 'message' },
  { name: 'query http2 tls', kind: 'query', wire: 'http2', tls: true },
  { name: 'command json', kind: 'command', wire: 'http1', tls: true, id: 'message' },
  { name: 'command json key', kind: 'command', wire: 'http2', tls: false, id: 'key' },
  { name: 'command grpc key', kind: 'command', wire: 'grpc', tls: true, id: 'key' },
  { name: 'command json without id', kind: 'command', wire: 'http1', tls: false, id: 'none' },
  { name: 'command grpc without id', kind: 'command', wire: 'grpc', tls: false, id: 'none' },
  { name: 'runner', kind: 'runner', wire: 'http1', tls: false },
  { name: 'runner http2', kind: 'runner', wire: 'http2', tls: false },
  { name: 'command json large', kind: 'command', wire: 'http1', tls: false, id: 'message', padBytes: LARGE_BYTES },
];

let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;
let pair: readonly [EndpointProcess, EndpointProcess];

beforeAll(async () => {
  ({ gateway, http, admin, member } = await startGatewayWithMember({ role: 'tenant-admin' }));
  pair = await startPair(gateway.dataFolder);
});
afterAll(async () => {
  await Promise.all((pair ?? []).map((endpoint) => endpoint[Symbol.asyncDispose]()));
  await gateway?.[Symbol.asyncDispose]();
});

async function publishPair(hasHealth: boolean): Promise<void> {
  const { body } = await ask(http, '/admin/routing?include=document', { token: admin.token });
  const document = withPair(Object(body['document']), pair, { tenants: [TENANT], hasHealth });
  const published = await ask(http, '/admin/routing/revisions', { token: admin.token, body: document });
  expect(published.status, published.text).toBe(200);
}

/** Requests of all kinds, while each endpoint is killed in turn. */
async function killUnderLoad(): Promise<readonly TrafficAnswer[]> {
  const { https, ca } = await gateway.run();
  await using traffic = startTraffic({
    ...{ http, https, ca, token: member.token, tenants: [TENANT], flows: FLOWS },
    ...{ requestsPerSecond: REQUESTS_PER_SECOND, delayMs: 20 },
  });
  await until(() => traffic.answers.length > REQUESTS_PER_SECOND, { deadlineMs: 30_000, what: 'the load to begin' });
  for (let kill = 0; kill < KILLS_COUNT; kill += 1) {
    const endpoint = pair[kill % 2 === 0 ? 0 : 1];
    const before = (await endpoint.executed()).length;
    await endpoint.kill();
    await sleep(PAUSE_MS);
    await endpoint.start();
    await until(async () => (await endpoint.executed()).length > before, {
      deadlineMs: 40_000,
      what: 'the endpoint to be asked again',
    });
    await sleep(PAUSE_MS);
  }
  await traffic.stop();
  return [...traffic.answers];
}

/** The access log's lines of these requests. */
async function explained(answers: readonly TrafficAnswer[], log?: string): Promise<string> {
  const text = await readFile(log ?? join(gateway.dataFolder, 'logs', 'access.log'), 'utf8');
  const lines = answers.slice(0, 10).map((answer) => {
    const line = text.split('\n').find((each) => each.includes(`"${answer.id}"`));
    return `${JSON.stringify(answer)}\n  ${line ?? 'no line'}`;
  });
  return lines.join('\n');
}

/** How often each marker was executed, by both endpoints in all of their lives. */
async function executions(): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const line of [...(await pair[0].executed()), ...(await pair[1].executed())]) {
    const marker = line.split(' ')[1] ?? '';
    counts.set(marker, (counts.get(marker) ?? 0) + 1);
  }
  return counts;
}

describe('kill -9 of one of two endpoints under load', () => {
  it.each([
    ['without a health check', false],
    ['with a health check', true],
  ])('fails nothing that may be repeated and repeats nothing that may not, %s', async (name, hasHealth) => {
    await publishPair(hasHealth);
    const answers = await killUnderLoad();
    const executed = await executions();
    const flows = new Map(FLOWS.map((flow) => [flow.name, flow]));
    const of = (isWanted: (flow: Flow) => boolean) =>
      answers.filter(({ flow }) => isWanted(flows.get(flow) ?? ({ kind: 'query' } as Flow)));
    const figures = FLOWS.map((flow) => {
      const own = answers.filter((answer) => answer.flow === flow.name);
      const twice = own.filter(({ id }) => (executed.get(id) ?? 0) > 1).length;
      const wrong = own.filter(({ isRight }) => !isRight).length;
      return `${flow.name}: ${own.length} sent, ${wrong} failed, ${twice} executed twice, max ${Math.round(Math.max(...own.map(({ tookMs }) => tookMs)))} ms`;
    });
    process.stdout.write(`${name}\n  ${figures.join('\n  ')}\n`);

    const failed = of(isRepeatable).filter(({ isRight }) => !isRight);
    expect(failed.length, await explained(failed)).toBe(0);
    for (const answer of of(({ id }) => id === 'none')) expect(executed.get(answer.id)).toBeUndefined();
    const repeated = of(({ kind }) => kind === 'runner').filter(({ id }) => (executed.get(id) ?? 0) > 1);
    expect(repeated.length, await explained(repeated)).toBe(0);
    for (const answer of of(({ kind }) => kind !== 'query').filter(({ isRight }) => isRight)) {
      if (flows.get(answer.flow)?.id !== 'none') expect(executed.get(answer.id), answer.id).toBeGreaterThanOrEqual(1);
    }
  });
});

describe('one of two replicas of authz under load', () => {
  const flows = FLOWS.filter((flow) => isRepeatable(flow) && !flow.tls);

  /** Does something to each replica in turn, under load, and gives the answers that were not right. */
  async function failuresWhile(edge: TwoAuthz, act: (replica: TwoAuthz['replicas'][number]) => Promise<void>) {
    await edge.untilHealthy();
    await using traffic = startTraffic({
      ...{ http: edge.http, https: edge.https, ca: (await gateway.run()).ca, token: member.token },
      ...{ tenants: [TENANT], flows, requestsPerSecond: REQUESTS_PER_SECOND, delayMs: 5 },
    });
    await until(() => traffic.answers.length > REQUESTS_PER_SECOND, { deadlineMs: 30_000, what: 'the load to begin' });
    for (const replica of edge.replicas) {
      await act(replica);
      await edge.untilHealthy();
    }
    await traffic.stop();
    const failed = traffic.answers.filter(({ isRight }) => !isRight);
    return { count: failed.length, why: await explained(failed, edge.accessLog) };
  }

  it('is killed, and nothing fails: a check that ended without an answer is asked again', async () => {
    await using edge = await startTwoAuthz(gateway);
    const failed = await failuresWhile(edge, async (replica) => {
      await replica.stop('SIGKILL');
      await sleep(PAUSE_MS);
      await replica.start();
    });
    expect(failed.count, failed.why).toBe(0);
  });

  it('hangs, and nothing fails: a check that is not answered in time is asked again', async () => {
    await using edge = await startTwoAuthz(gateway);
    const failed = await failuresWhile(edge, async (replica) => {
      replica.hang();
      await sleep(HANG_MS);
      replica.goOn();
    });
    expect(failed.count, failed.why).toBe(0);
  });
});

describe('a node that is slower than its row allows', () => {
  it('is given up when the time is over', async () => {
    const requests = [
      ['runner.post', '/admin/runner/work', { delay_ms: 14_000, marker: 'slow' }],
      ['query.read', '/v1/query/orders', { delay_ms: 14_000 }],
    ] as const;
    const startedAt = performance.now();
    const ended = requests.map(async ([id, path, body]) => {
      const { status, body: problem } = await ask(http, path, { token: member.token, tenant: TENANT, body });
      return { id, status, code: problem['code'], tookMs: performance.now() - startedAt };
    });
    for (const { id, tookMs, ...answer } of await Promise.all(ended)) {
      const timeoutMs = ENDPOINTS.find((row) => row.id === id)?.timeoutMs ?? 0;
      expect([id, answer]).toEqual([id, { status: 504, code: 'upstream_timeout' }]);
      expect(tookMs).toBeGreaterThanOrEqual(timeoutMs);
      expect(tookMs).toBeLessThan(timeoutMs + 3_000);
    }
  });
});
