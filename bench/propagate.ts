import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connectNats } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument } from '#app/publish-revision.ts';
import { toDocument } from '#domain/routing/revision.ts';
import { createLog } from '#platform/log.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { assign, bootstrapAdmin, type Person, signUp } from '../test/support/edge-client.ts';
import { type RunningGateway, startGateway } from '../test/support/launcher.ts';
import { until } from '../test/support/wait.ts';
import { EdgeProber, ProberPool } from './rig/edge-prober.ts';
import { printJson, printTable } from './rig/harness.ts';
import { PlacementJudge } from './rig/placement-judge.ts';

/**
 * From the KV put of a routing revision to the first answer of the new shard, through real NATS, xds, authz and Envoy:
 * the development gateway with N tenants, moves at a steady rate, and requests all the while. Time is taken when `head`
 * is put (not when the put is acknowledged) and when the first answer of the new shard has arrived, so the request
 * itself is in it.
 */
const { values: options } = parseArgs({
  options: {
    tenants: { type: 'string', default: '1000' },
    moves: { type: 'string', default: '500' },
    rate: { type: 'string', default: '50' },
    json: { type: 'boolean', default: false },
  },
});
const TENANTS = Number(options.tenants);
const MOVES = Number(options.moves);
const RATE = Number(options.rate);
/** Tenants that move; the client is a member of each. */
const MOVING_COUNT = Math.min(40, TENANTS);
/** Requests after the first one at the new shard, on both connections: none may go back. */
const AFTER_COUNT = 5;
const VISIBLE_DEADLINE_MS = 5_000;
const BACKGROUND_PER_SECOND = 100;
const WARM_UP_MOVES = 50;

const log = createLog({ service: 'bench', level: 'silent' });
const clock = { nowMs: () => Date.now() };
const tenantName = (index: number): string => `bench-${String(index).padStart(6, '0')}`;

async function measure(gateway: RunningGateway): Promise<void> {
  const run = await gateway.run();
  const admin = await bootstrapAdmin(gateway);
  const member = await signUp(run.http, 'bench@example.com');
  await using link = await connectNats({ url: run.nats, name: 'bench', log });
  let putAtMs = 0;
  const store = stampedStore(new NatsKeyValueStore(link, 'ROUTING', log), (atMs) => {
    putAtMs = atMs;
  });
  const revisions = new RevisionStore({ store, log });
  const judge = new PlacementJudge();
  const loaded = await publishTenants(revisions, judge);
  for (let index = 0; index < MOVING_COUNT; index += 1) await join(run.http, admin, member, tenantName(index));
  using probers = new ProberPool(() => new EdgeProber(run.http, member.token));
  await untilRoutedBy(probers, loaded);

  const background = new AbortController();
  const backgroundDone = keepAsking(probers, judge, background.signal);
  const shardOf = new Map<string, string>();
  const moveOnce = async (index: number): Promise<{ visibleMs: number; publishMs: number }> => {
    const tenant = tenantName(index % (MOVING_COUNT - 1));
    const shard = shardOf.get(tenant) === 's2' ? 's1' : 's2';
    shardOf.set(tenant, shard);
    const startedAtMs = performance.now();
    const published = await publishChanges(
      { store: revisions, clock },
      { by: 'bench', changes: { changes: [{ tenant, projection: shard }] } },
    );
    if (!published.ok) throw new Error(`move refused: ${published.error.detail}`);
    const publishedAtMs = performance.now();
    const fromMs = putAtMs;
    judge.placed(tenant, published.value.revision, `projection/${shard}`);
    const arrivedAtMs = await firstAt({ probers, judge, tenant, servedBy: `projection/${shard}` });
    return { visibleMs: arrivedAtMs - fromMs, publishMs: publishedAtMs - startedAtMs };
  };
  const results = await atRate(MOVES + WARM_UP_MOVES, RATE, moveOnce);
  background.abort();
  await backgroundDone;
  report(results.slice(WARM_UP_MOVES), judge);
}

/** Puts the time of each write of `head` down. */
function stampedStore(store: KeyValueStore, onHeadPut: (atMs: number) => void): KeyValueStore {
  return {
    get: (key) => store.get(key),
    list: (prefix, page) => store.list(prefix, page),
    keys: (prefix) => store.keys(prefix),
    watch: (options) => store.watch(options),
    commit: (writes) => {
      if (writes.some((write) => write.key === 'head')) onHeadPut(performance.now());
      return store.commit(writes);
    },
  };
}

/** All tenants on s1 for every kind, on top of what the development gateway routes. */
async function publishTenants(revisions: RevisionStore, judge: PlacementJudge): Promise<number> {
  const current = await revisions.head();
  if (current === undefined) throw new Error('the development gateway has no routing');
  const document = toDocument(current);
  const placement = Object.fromEntries(Array.from({ length: TENANTS }, (_, index) => [tenantName(index), 's1']));
  for (const kind of ['aggregate', 'projection', 'runner']) document[`${kind}_placement`] = placement;
  const published = await publishDocument({ store: revisions, clock }, { by: 'bench', document });
  if (!published.ok) throw new Error(`document refused: ${published.error.detail}`);
  const { revision } = published.value;
  for (let index = 0; index < MOVING_COUNT; index += 1) judge.placed(tenantName(index), revision, 'projection/s1');
  return revision;
}

async function join(http: string, admin: Person, member: Person, tenant: string): Promise<void> {
  const assigned = await assign(http, admin, member, tenant, 'tenant-member');
  if (assigned.status !== 201) throw new Error(`assignment refused: ${assigned.text}`);
}

const untilRoutedBy = (probers: ProberPool, revision: number) =>
  until(() => probers.use(async (prober) => ((await prober.query(tenantName(0)))?.revision ?? 0) >= revision), {
    deadlineMs: 60_000,
    what: 'the tenants to be routed',
  });

/** Asks on two connections until the new shard has answered on both, and a little longer. @returns the first arrival */
async function firstAt(move: {
  readonly probers: ProberPool;
  readonly judge: PlacementJudge;
  readonly tenant: string;
  readonly servedBy: string;
}): Promise<number> {
  const { probers, judge, tenant, servedBy } = move;
  const deadlineMs = performance.now() + VISIBLE_DEADLINE_MS;
  const ask = (): Promise<number> =>
    probers.use(async (prober) => {
      let firstMs: number | undefined;
      for (let after = 0; after < AFTER_COUNT; ) {
        const served = await prober.query(tenant);
        judge.judge(prober, tenant, served);
        if (served?.servedBy === servedBy) {
          firstMs ??= served.receivedAtMs;
          after += 1;
        }
        if (performance.now() > deadlineMs)
          throw new Error(`${tenant} did not reach ${servedBy} in ${VISIBLE_DEADLINE_MS} ms`);
      }
      return firstMs ?? deadlineMs;
    });
  return Math.min(...(await Promise.all([ask(), ask()])));
}

/** A tenant that never moves, asked at a steady rate: moves of others must not be noticed. */
async function keepAsking(probers: ProberPool, judge: PlacementJudge, signal: AbortSignal): Promise<void> {
  const tenant = tenantName(MOVING_COUNT - 1);
  await probers.use(async (prober) => {
    while (!signal.aborted) {
      judge.judge(prober, tenant, await prober.query(tenant));
      await sleep(1_000 / BACKGROUND_PER_SECOND);
    }
  });
}

/** Starts `task` at a steady rate; a slow one does not delay the next. */
async function atRate<Value>(
  count: number,
  perSecond: number,
  task: (index: number) => Promise<Value>,
): Promise<Value[]> {
  const startMs = performance.now();
  const running: Promise<Value>[] = [];
  for (let index = 0; index < count; index += 1) {
    const waitMs = startMs + (index * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    running.push(task(index));
  }
  return Promise.all(running);
}

function report(results: readonly { visibleMs: number; publishMs: number }[], judge: PlacementJudge): void {
  const percentile = (values: readonly number[], part: number): number =>
    values.toSorted((left, right) => left - right)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0;
  const figures = (name: string, values: readonly number[]) => [
    name,
    ...[0.5, 0.9, 0.99, 1].map((part) => percentile(values, part).toFixed(1)),
  ];
  const visible = results.map((result) => result.visibleMs);
  process.stdout.write(
    `${TENANTS} tenants, ${results.length} moves at ${RATE}/s, real NATS, xds, authz and Envoy (2 workers)\n`,
  );
  printTable([
    ['ms', 'p50', 'p90', 'p99', 'max'],
    figures('KV put of head -> first answer of the new shard', visible),
    figures(
      'publishing (parts, head, acknowledged)',
      results.map((result) => result.publishMs),
    ),
  ]);
  process.stdout.write(`${judge.requests} requests meanwhile: ${judge.wrong} wrong, ${judge.failed} failed\n`);
  printJson({
    tenants: TENANTS,
    moves: results.length,
    p50_ms: Number(percentile(visible, 0.5).toFixed(2)),
    p99_ms: Number(percentile(visible, 0.99).toFixed(2)),
    wrong: judge.wrong,
    failed: judge.failed,
    requests: judge.requests,
  });
}

await using gateway = await startGateway();
await measure(gateway);
