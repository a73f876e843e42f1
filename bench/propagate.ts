import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connectNats } from '#adapters/nats/connection.ts';
import { createLog } from '#platform/log.ts';
import { assign, bootstrapAdmin, type Person, signUp } from '../test/support/edge-client.ts';
import { type RunningGateway, startGateway } from '../test/support/launcher.ts';
import { until } from '../test/support/wait.ts';
import { tenantName } from './rig/bench-routing.ts';
import { type ColdStart, coldStart } from './rig/cold-start.ts';
import { EdgeProber, ProberPool } from './rig/edge-prober.ts';
import { atRate, monotonicMs, percentile, percentileRow, printJson, printTable, rounded } from './rig/harness.ts';
import { MovePublisher } from './rig/move-publisher.ts';
import { type Stations, stationsOf } from './rig/move-stations.ts';
import { PlacementJudge } from './rig/placement-judge.ts';
import { envoyStat, mainThreadMs, residentMegabytes } from './rig/process-figures.ts';

/**
 * From the KV put of a routing revision to the first answer of the new shard, through real NATS, xds, authz and Envoy:
 * the development gateway with N tenants, moves at a steady rate, and requests all the while. Time is taken when `head`
 * is put (not when the put is acknowledged) and when the first answer of the new shard has arrived, so the request
 * itself is in it. With it: what a move costs Envoy's main thread and the wire, what the processes hold in memory, and
 * with --cold how long the gateway needs from nothing running to the first routed request.
 */
const { values: options } = parseArgs({
  options: {
    tenants: { type: 'string', default: '1000' },
    shards: { type: 'string', default: '0' },
    moves: { type: 'string', default: '500' },
    rate: { type: 'string', default: '50' },
    every: { type: 'string', default: '3' },
    cold: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const TENANTS = Number(options.tenants);
/** Further clusters per kind. */
const SHARDS = Number(options.shards);
const MOVES = Number(options.moves);
const RATE = Number(options.rate);
/** Tenants that move; the client is a member of each. */
const MOVING_COUNT = Math.min(40, TENANTS);
/** Requests after the first one at the new shard: none may go back. */
const AFTER_COUNT = 2;
/** Whoever asks more often keeps the cores busy by asking: the time of a move is then that of waiting for a core. */
const BETWEEN_REQUESTS_MS = Number(options.every);
/** For one move: a gateway that stalls for a moment is not to be flooded. */
const IN_FLIGHT_MAX_COUNT = 8;
const VISIBLE_DEADLINE_MS = 5_000;
const BACKGROUND_PER_SECOND = 100;
const WARM_UP_MOVES = 250;

interface Moved {
  readonly revision: number;
  /** Time of day in ms. */
  readonly putAtMs: number;
  readonly visibleMs: number;
  readonly publishMs: number;
}

interface Costs {
  readonly envoyMainMsPerMove: number;
  readonly wireBytesPerMove: number;
  readonly rss: Readonly<Record<'xds' | 'authz' | 'envoy', number>>;
}

async function measure(gateway: RunningGateway): Promise<void> {
  const run = await gateway.run();
  const admin = await bootstrapAdmin(gateway);
  const member = await signUp(run.http, 'bench@example.com');
  const log = createLog({ service: 'bench', level: 'silent' });
  await using link = await connectNats({ url: run.nats, name: 'bench', log });
  await using publisher = await MovePublisher.start(run.nats);
  const judge = new PlacementJudge();
  const loaded = await publisher.publishTenants({ tenants: TENANTS, shardsPerKind: SHARDS });
  for (let index = 0; index < MOVING_COUNT; index += 1) {
    judge.placed(tenantName(index), loaded, 'projection/s1');
    await join(run.http, admin, member, tenantName(index));
  }
  using probers = new ProberPool(() => new EdgeProber(run.http, member.token));
  await untilRoutedBy(probers, loaded);

  const background = new AbortController();
  const backgroundDone = keepAsking(probers, judge, background.signal);
  const moveOnce = async (index: number): Promise<Moved> => {
    const tenant = tenantName(index % (MOVING_COUNT - 1));
    let arrived: Promise<number> = Promise.resolve(0);
    const { revision, putAtMs, publishMs } = await publisher.move(tenant, (put) => {
      judge.placed(tenant, put.revision, `projection/${put.shard}`);
      arrived = firstAt({ probers, judge, tenant, servedBy: `projection/${put.shard}` });
    });
    const visibleMs = (await arrived) - putAtMs;
    return { revision, putAtMs: Date.now() - (monotonicMs() - putAtMs), visibleMs, publishMs };
  };
  await atRate(WARM_UP_MOVES, RATE, moveOnce);
  const before = await costsSoFar(gateway, 'before');
  const results = await atRate(MOVES, RATE, moveOnce);
  const after = await costsSoFar(gateway, 'after');
  background.abort();
  await backgroundDone;
  const costs = {
    envoyMainMsPerMove: (after.mainMs - before.mainMs) / MOVES,
    wireBytesPerMove: (after.wireBytes - before.wireBytes) / MOVES,
    rss: await memoryOf(gateway),
  };
  const cold = options.cold ? await coldStart(gateway, new EdgeProber(run.http, member.token)) : undefined;
  const stations = await stationsOf(link, results);
  report({ results, stations, judge, costs, cold });
}

/** Reading Envoy's figures costs its main thread, so that is outside of what is measured. */
async function costsSoFar(gateway: RunningGateway, when: 'before' | 'after') {
  const { pids, envoyAdmin } = await gateway.run();
  const main = () => mainThreadMs(pids['envoy'] ?? 0);
  const wire = () => envoyStat(envoyAdmin, 'cluster.xds.upstream_cx_rx_bytes_total');
  if (when === 'after') return { mainMs: await main(), wireBytes: await wire() };
  return { wireBytes: await wire(), mainMs: await main() };
}

async function memoryOf(gateway: RunningGateway): Promise<Costs['rss']> {
  const { pids } = await gateway.run();
  const of = (name: string) => residentMegabytes(pids[name] ?? 0);
  return { xds: await of('xds'), authz: await of('authz'), envoy: await of('envoy') };
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

/** Begins a request every few milliseconds, a few at a time, until the new shard has answered. @returns when that was */
async function firstAt(move: {
  readonly probers: ProberPool;
  readonly judge: PlacementJudge;
  readonly tenant: string;
  readonly servedBy: string;
}): Promise<number> {
  const { probers, judge, tenant, servedBy } = move;
  const deadlineMs = monotonicMs() + VISIBLE_DEADLINE_MS;
  let firstMs = Number.POSITIVE_INFINITY;
  const ask = (): Promise<void> =>
    probers.use(async (prober) => {
      const served = await prober.query(tenant);
      judge.judge(prober, tenant, served);
      if (served?.servedBy === servedBy) firstMs = Math.min(firstMs, served.receivedAtMs);
    });
  const asked = new Set<Promise<void>>();
  while (firstMs === Number.POSITIVE_INFINITY) {
    if (monotonicMs() > deadlineMs) throw new Error(`${tenant} did not reach ${servedBy} in ${VISIBLE_DEADLINE_MS} ms`);
    if (asked.size < IN_FLIGHT_MAX_COUNT) {
      const asking = ask().finally(() => asked.delete(asking));
      asked.add(asking);
    }
    await sleep(BETWEEN_REQUESTS_MS);
  }
  await Promise.all(asked);
  for (let after = 0; after < AFTER_COUNT; after += 1) await ask();
  return firstMs;
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

function report(measured: {
  readonly results: readonly Moved[];
  readonly stations: Stations;
  readonly judge: PlacementJudge;
  readonly costs: Costs;
  readonly cold: ColdStart | undefined;
}): void {
  const { results, stations, judge, cold } = measured;
  const { envoyMainMsPerMove, wireBytesPerMove, rss } = measured.costs;
  const visible = results.map((result) => result.visibleMs);
  const clusters = `${TENANTS} tenants, ${3 * SHARDS + 6} clusters`;
  process.stdout.write(
    `${clusters}, ${results.length} moves at ${RATE}/s, a request every ${BETWEEN_REQUESTS_MS} ms, real NATS, xds, authz and Envoy (2 workers)\n`,
  );
  printTable([
    ['ms', 'p50', 'p90', 'p99', 'max'],
    percentileRow('KV put of head -> first answer of the new shard', visible),
    ...Object.entries(stations).map(([station, values]) => percentileRow(`  -> ${station}`, values)),
    percentileRow(
      'publishing (parts, head, acknowledged)',
      results.map((result) => result.publishMs),
    ),
  ]);
  process.stdout.write(
    `per move: ${envoyMainMsPerMove.toFixed(2)} ms of Envoy's main thread, ${wireBytesPerMove.toFixed(0)} bytes to Envoy\n`,
  );
  process.stdout.write(
    `MB resident: xds ${rss.xds.toFixed(0)}, authz ${rss.authz.toFixed(0)}, Envoy ${rss.envoy.toFixed(0)}\n`,
  );
  if (cold !== undefined) {
    const parts = `xds ready ${cold.xdsMs.toFixed(0)}, authz ready ${cold.authzMs.toFixed(0)}`;
    process.stdout.write(
      `kill -9 of authz, xds and Envoy -> first routed request: ${cold.routedMs.toFixed(0)} ms (${parts})\n`,
    );
  }
  process.stdout.write(`${judge.requests} requests meanwhile: ${judge.wrong} wrong, ${judge.failed} failed\n`);
  printJson({
    tenants: TENANTS,
    shards_per_kind: SHARDS,
    moves: results.length,
    p50_ms: rounded(percentile(visible, 0.5)),
    p99_ms: rounded(percentile(visible, 0.99)),
    wrong: judge.wrong,
    failed: judge.failed,
    requests: judge.requests,
    envoy_main_ms_per_move: rounded(envoyMainMsPerMove),
    wire_bytes_per_move: Math.round(wireBytesPerMove),
    rss_xds_mb: rounded(rss.xds),
    rss_authz_mb: rounded(rss.authz),
    rss_envoy_mb: rounded(rss.envoy),
    ...(cold === undefined
      ? {}
      : {
          cold_ms: rounded(cold.routedMs),
          cold_xds_ready_ms: rounded(cold.xdsMs),
          cold_authz_ready_ms: rounded(cold.authzMs),
        }),
  });
}

await using gateway = await startGateway();
await measure(gateway);
