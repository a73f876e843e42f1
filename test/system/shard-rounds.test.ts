import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectNats } from '#adapters/nats/connection.ts';
import { assign, bootstrapAdmin, move, type Person, signUp } from '../support/edge-client.ts';
import { type RunningGateway, startGateway } from '../support/launcher.ts';
import { startLoad } from '../support/load/load.ts';
import type { LoadAnswer } from '../support/load/load-answer.ts';
import { type Judgement, LoadJudge } from '../support/load/load-judge.ts';
import { type NodeFarm, startNodeFarm } from '../support/load/node-farm.ts';
import { publisherByApi, publisherByStorage } from '../support/load/publishers.ts';
import { ShardRounds } from '../support/load/shard-rounds.ts';
import { silentLog } from '../support/nats.ts';
import { until } from '../support/wait.ts';

/**
 * Shards come and go under load, and no request notices: 500 requests/s, half of them queries over HTTP/1.1 and half
 * commands over gRPC with command ids, while a tenant is moved from shard to shard, each a node that was just started
 * and is ended after its removal. Half of the rounds are published by the admin API, half in one go straight to the storage,
 * so that only the order kept by xds is between them. Nothing is repeated by the client.
 */
const REQUESTS_PER_SECOND = 500;
/** Rounds are spread over the requests instead of done as fast as they can be. */
const ROUND_EVERY_MS = 400;
const KILL_EVERY_MS = 2_000;
/** Moves; the other one stays where it is and must not notice. */
const TENANT = 'mover';
const STEADY_TENANT = 'steady';

const judge = new LoadJudge();

let gateway: RunningGateway;
let farm: NodeFarm;
let http: string;
let admin: Person;
let member: Person;

beforeAll(async () => {
  gateway = await startGateway();
  farm = startNodeFarm();
  ({ http } = await gateway.run());
  admin = await bootstrapAdmin(gateway);
  member = await signUp(http, 'member@example.com');
  for (const tenant of [TENANT, STEADY_TENANT]) await assign(http, admin, member, tenant, 'tenant-member');
  const placed = await move(http, admin, { tenant: STEADY_TENANT, aggregate: 's2', projection: 's2' });
  expect(placed.status).toBe(200);
  judge.placed(STEADY_TENANT, Number(placed.body['revision']), 's2');
});
afterAll(async () => {
  await farm?.[Symbol.asyncDispose]();
  await gateway?.[Symbol.asyncDispose]();
});

interface Run {
  readonly name: string;
  readonly requestsMinCount: number;
  readonly roundsMinCount: number;
  /** What goes wrong meanwhile; the load goes on at least until it has ended. */
  readonly meanwhile?: () => Promise<void>;
}

interface Ran extends Judgement {
  readonly answers: readonly LoadAnswer[];
  readonly rounds: number;
  /** Publications that were tried again. */
  readonly retries: number;
}

/** Rounds under load, judged. */
async function runRounds({ name, requestsMinCount, roundsMinCount, meanwhile }: Run): Promise<Ran> {
  await using link = await connectNats({ url: (await gateway.run()).nats, name: 'rounds', log: silentLog });
  const publishers = [publisherByApi(http, admin), publisherByStorage(link)] as const;
  const rounds = await ShardRounds.begin({ http, admin, farm, judge, publishers, tenant: TENANT, name });
  await using load = startLoad({
    http,
    token: member.token,
    tenants: [TENANT, TENANT, TENANT, STEADY_TENANT],
    requestsPerSecond: REQUESTS_PER_SECOND,
  });
  await until(() => load.answers.length > 0, { deadlineMs: 30_000, what: 'the load to begin' });
  let isOver = false;
  const disturbance = Promise.resolve(meanwhile?.()).finally(() => {
    isOver = true;
  });
  const isEnough = () => isOver && rounds.count >= roundsMinCount && load.answers.length >= requestsMinCount;
  while (!isEnough()) await Promise.all([rounds.run(), sleep(ROUND_EVERY_MS)]);
  await disturbance;
  await rounds.settle();
  await load.stop();
  const judgement = await judge.judge(load.answers, accessLog());
  const { explained: _, ...figures } = judgement;
  const counts = { rounds: rounds.count, retries: publishers[0].retries + publishers[1].retries };
  process.stdout.write(`${name}: ${JSON.stringify({ ...figures, ...counts })}\n`);
  return { ...judgement, ...counts, answers: load.answers };
}

const accessLog = (): string => join(gateway.dataFolder, 'logs', 'access.log');

function expectNobodyNoticed({ failed, wrong, backward, explained }: Judgement): void {
  expect({ failed, wrong, backward }, `\n${explained.join('\n')}`).toEqual({ failed: 0, wrong: 0, backward: 0 });
}

/** The same answers with one of each mistake in them: a judge that finds nothing would be worth nothing. */
async function expectMistakesFound(answers: readonly LoadAnswer[]): Promise<void> {
  const moved = answers.findLast(({ kind, tenant }) => kind === 'projection' && tenant === TENANT);
  const command = answers.findLast(({ kind, tenant }) => kind === 'aggregate' && tenant === TENANT);
  if (moved === undefined || command === undefined) throw new Error('both kinds are asked');
  const planted: readonly LoadAnswer[] = [
    { ...moved, servedBy: 'projection/s1' },
    { ...moved, epoch: 1 },
    { ...command, isServed: false, status: 'grpc 14' },
    // Decided by a revision at which the tenant was elsewhere: the node and the cluster are wrong, and it went back.
    { ...moved, revision: moved.revision - 20 },
  ];
  const judged = await judge.judge([...answers, ...planted], accessLog());
  expect(judged).toMatchObject({ failed: 1, wrong: 3, backward: 1 });
  expect(judged.explained.join('\n')).toMatch(/served by projection\/s1[\s\S]*access log: .*"upstream_cluster"/);
}

/** kill -9 of a child, several times, each time when it runs again and has had a while to do its work. */
async function killRepeatedly(name: string, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    await sleep(KILL_EVERY_MS);
    await gateway.restarted(name, await gateway.kill(name));
  }
  await sleep(KILL_EVERY_MS);
}

describe('shards are added, moved to and removed under load', () => {
  it('100 times without a failed or wrong request', async () => {
    const ran = await runRounds({ name: 'plain', requestsMinCount: 20_000, roundsMinCount: 100 });
    expectNobodyNoticed(ran);
    expect(ran.requests).toBeGreaterThanOrEqual(20_000);
    expect(ran.rounds).toBeGreaterThanOrEqual(100);
    await expectMistakesFound(ran.answers);
  });

  it('while xds is killed and started again', async () => {
    const meanwhile = () => killRepeatedly('xds', 3);
    const ran = await runRounds({ name: 'xds', requestsMinCount: 5_000, roundsMinCount: 10, meanwhile });
    expectNobodyNoticed(ran);
    expect(ran.requests).toBeGreaterThanOrEqual(5_000);
  });

  it('while NATS is killed and started again; publications are tried again', async () => {
    const meanwhile = () => killRepeatedly('nats', 3);
    const ran = await runRounds({ name: 'nats', requestsMinCount: 5_000, roundsMinCount: 10, meanwhile });
    expectNobodyNoticed(ran);
    expect(ran.requests).toBeGreaterThanOrEqual(5_000);
  });
});
