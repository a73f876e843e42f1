import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connectNats } from '#adapters/nats/connection.ts';
import { createLog } from '#platform/log.ts';
import { ask, assign, bootstrapAdmin, type Person, signIn, signUp } from '../test/support/edge-client.ts';
import { type RunningGateway, startGateway } from '../test/support/launcher.ts';
import { startPair, withPair } from '../test/support/load/endpoint-process.ts';
import { publisherByStorage } from '../test/support/load/publishers.ts';
import { type Flow, startTraffic, type Traffic } from '../test/support/load/traffic.ts';
import { until } from '../test/support/wait.ts';
import { startTwoAuthz } from '../test/system/graceful/two-authz.ts';
import { accountsOf, readLog } from './rig/edge/edge-accounts.ts';
import { EdgeDiary } from './rig/edge/edge-diary.ts';
import { disturb } from './rig/edge/edge-disturbances.ts';
import { type EdgeRun, isFine, reportEdge } from './rig/edge/edge-report.ts';

/**
 * Everything that a gateway has to stand in ten minutes, at once: commands and queries at a steady rate, by clients of
 * every kind in processes of their own, while the certificate is replaced, a tenant is moved every second, replicas of
 * authz and xds are restarted and killed, and so are the endpoints of a shard. What may be repeated must not fail;
 * whatever else fails is accounted for one by one. Exit code 1 when that is not so.
 */
const { values: options } = parseArgs({
  options: {
    rate: { type: 'string', default: '300' },
    minutes: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
});
const RATE = Number(options.rate);
const DURATION_MS = Number(options.minutes) * 60_000;
const STEADY_TENANT = 'steady';
const MOVING_TENANT = 'mover';
/** A node takes this long, so that requests are under way whenever something happens. */
const DELAY_MS = 10;
/** An access token lives ten minutes. */
const RENEW_TOKEN_EVERY_MS = 120_000;
const SETTLE_MS = 2_000;

const COMMANDS = [
  { kind: 'command', wire: 'grpc', id: 'message' },
  { kind: 'command', wire: 'http1', id: 'message' },
  { kind: 'command', wire: 'http2', id: 'key' },
  { kind: 'command', wire: 'grpc', id: 'key' },
] as const;
const QUERIES = [
  { kind: 'query', wire: 'http1' },
  { kind: 'query', wire: 'http2' },
] as const;
/** A share that nobody may repeat: the work of a runner, and commands without an id, which are refused. */
const OTHERS = [
  { kind: 'runner', wire: 'http1' },
  { kind: 'command', wire: 'http2', id: 'none' },
] as const;

const flowsOf = (tls: boolean): readonly Flow[] =>
  [...COMMANDS, ...QUERIES, ...QUERIES, ...OTHERS].map((flow) => {
    const id = 'id' in flow ? { message: ' with id', key: ' with key', none: ' without id' }[flow.id] : '';
    return { ...flow, tls, name: `${flow.kind}${id}, ${flow.wire}, ${tls ? 'tls' : 'clear'}` };
  });
const FLOWS = { clear: flowsOf(false), tls: flowsOf(true) };

async function measure(gateway: RunningGateway): Promise<EdgeRun> {
  const run = await gateway.run();
  const admin = await bootstrapAdmin(gateway);
  const member = await signUp(run.http, 'bench@example.com');
  await using pair = await pairOf(gateway, admin);
  for (const tenant of [STEADY_TENANT, MOVING_TENANT]) {
    const assigned = await assign(run.http, admin, member, tenant, 'tenant-admin');
    if (assigned.status !== 201) throw new Error(`assignment refused: ${assigned.text}`);
  }
  await using edge = await startTwoAuthz(gateway);
  await edge.untilHealthy();
  await using link = await connectNats({
    ...{ url: run.nats, name: 'bench' },
    log: createLog({ service: 'bench', level: 'silent' }),
  });
  const spec = {
    ...{ http: edge.http, https: edge.https, ca: run.ca, token: member.token, delayMs: DELAY_MS },
    ...{ tenants: [STEADY_TENANT, MOVING_TENANT], requestsPerSecond: RATE / 2 },
  };
  await using clear = startTraffic({ ...spec, flows: FLOWS.clear });
  await using tls = startTraffic({ ...spec, flows: FLOWS.tls });
  const traffics = [clear, tls] as const;
  await until(() => traffics.every(({ answers }) => answers.length > RATE), {
    deadlineMs: 60_000,
    what: 'the load to begin',
  });
  const diary = new EdgeDiary();
  const over = new AbortController();
  const renewing = renewTokens(run.http, member, traffics, over.signal);
  const publisher = publisherByStorage(link);
  const disturbed = { edge, diary, publisher, pair: pair.endpoints, mover: MOVING_TENANT };
  const disturbing = disturb({ ...disturbed, dataFolder: gateway.dataFolder }, DURATION_MS, over.signal);
  await Promise.race([sleep(DURATION_MS), disturbing]);
  over.abort();
  await Promise.all([disturbing, renewing]);
  await Promise.all(traffics.map((traffic) => traffic.stop()));
  // Envoy writes its log a little later.
  await sleep(SETTLE_MS);
  const answers = traffics.flatMap((traffic) => traffic.answers);
  const failed = new Set(answers.filter(({ isRight }) => !isRight).map(({ id }) => id));
  const flows = new Map([...FLOWS.clear, ...FLOWS.tls].map((flow) => [flow.name, flow]));
  const accounts = accountsOf(answers, { flows, diary, log: await readLog(edge.accessLog, failed) });
  const lost = traffics.flatMap((traffic) => traffic.lost);
  return { answers, accounts, lost, diary, flows, publishRetries: publisher.retries };
}

/** The shard that both tenants are on, with its two endpoints. */
async function pairOf(gateway: RunningGateway, admin: Person) {
  const { http } = await gateway.run();
  const endpoints = await startPair(gateway.dataFolder);
  const { body } = await ask(http, '/admin/routing?include=document', { token: admin.token });
  const placed = { tenants: [STEADY_TENANT, MOVING_TENANT], hasHealth: true };
  const document = withPair(Object(body['document']), endpoints, placed);
  const published = await ask(http, '/admin/routing/revisions', { token: admin.token, body: document });
  if (published.status !== 200) throw new Error(`document refused: ${published.text}`);
  return {
    endpoints,
    async [Symbol.asyncDispose]() {
      await Promise.all(endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]()));
    },
  };
}

async function renewTokens(
  http: string,
  member: Person,
  traffics: readonly Traffic[],
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await sleep(RENEW_TOKEN_EVERY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const { token } = await signIn(http, member.email);
    for (const traffic of traffics) traffic.renew(token);
  }
}

await using gateway = await startGateway();
const run = await measure(gateway);
reportEdge(run, { rate: RATE, minutes: Number(options.minutes) });
process.exitCode = isFine(run) ? 0 : 1;
