import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startGateway } from '../test/support/launcher.ts';
import { until } from '../test/support/wait.ts';
import { type Move, tenantName } from './rig/bench-routing.ts';
import { EnvoyFleet } from './rig/envoy-fleet.ts';
import { atRate, percentile, percentileRow, printJson, printTable, rounded } from './rig/harness.ts';
import { MovePublisher } from './rig/move-publisher.ts';
import { residentMegabytes } from './rig/process-figures.ts';

/**
 * One move to many Envoys: the development gateway (real NATS, xds, authz and Envoy), and modelled Envoys beside the real
 * one, each with a connection of its own. Time is taken when `head` is put and when an Envoy has read the route
 * configuration stamped with the move, so that it could acknowledge it. Then all of them reconnect at once with what they
 * hold, while moves go on; one more, in a process of its own, stays connected: what the storm does to the others.
 */
const { values: options } = parseArgs({
  options: {
    envoys: { type: 'string', default: '100' },
    processes: { type: 'string', default: '2' },
    tenants: { type: 'string', default: '1000' },
    shards: { type: 'string', default: '0' },
    moves: { type: 'string', default: '200' },
    rate: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
});
const ENVOYS = Number(options.envoys);
const PROCESSES = Number(options.processes);
const TENANTS = Number(options.tenants);
/** Further clusters per kind. */
const SHARDS = Number(options.shards);
const MOVES = Number(options.moves);
const RATE = Number(options.rate);
const WARM_UP_MOVES = 20;
/** The storm: moves before and after the reconnect. */
const STORM_MOVES = 40;
const STORM_AT_MOVE = 10;
const PREPARED_AFTER_MS = 3_000;
const LOADED_DEADLINE_MS = 120_000;
const ARRIVED_DEADLINE_MS = 30_000;

interface Spread {
  readonly first: number;
  readonly last: number;
  /** To the Envoy that stays connected. */
  readonly staying: number;
}

async function measure(): Promise<void> {
  await using gateway = await startGateway();
  const run = await gateway.run();
  await using publisher = await MovePublisher.start(run.nats);
  const loaded = await publisher.publishTenants({ tenants: TENANTS, shardsPerKind: SHARDS });
  const address = run.xds.grpc;
  await using fleet = new EnvoyFleet({ count: ENVOYS, processes: PROCESSES, address, name: 'modelled' });
  await using bystander = new EnvoyFleet({ count: 1, processes: 1, address, name: 'bystander' });
  const haveAll = (revision: number, deadlineMs: number) =>
    until(() => fleet.haveAll(revision) && bystander.haveAll(revision), {
      deadlineMs,
      what: `all Envoys to have revision ${revision}`,
    });
  await haveAll(loaded, LOADED_DEADLINE_MS);

  const moveAll = async (count: number, beforeMove: (index: number) => void = () => undefined): Promise<Move[]> => {
    const moves = await atRate(count, RATE, (index) => {
      beforeMove(index);
      return publisher.move(tenantName(index % TENANTS));
    });
    await haveAll(Math.max(...moves.map(({ revision }) => revision)), ARRIVED_DEADLINE_MS);
    return moves;
  };
  const spreadOf = ({ revision, putAtMs }: Move): Spread => {
    const arrivals = fleet.arrivals(revision).map((atMs) => atMs - putAtMs);
    return {
      first: Math.min(...arrivals),
      last: Math.max(...arrivals),
      staying: Math.max(...bystander.arrivals(revision).map((atMs) => atMs - putAtMs)),
    };
  };
  await moveAll(WARM_UP_MOVES);
  const steady = (await moveAll(MOVES)).map(spreadOf);
  fleet.prepareReconnect();
  await sleep(PREPARED_AFTER_MS);
  const storm = (
    await moveAll(STORM_MOVES, (index) => {
      if (index === STORM_AT_MOVE) fleet.reconnect();
    })
  ).map(spreadOf);
  const rssMb = await residentMegabytes((await gateway.run()).pids['xds'] ?? 0);
  report(steady, storm, rssMb);
}

function report(steady: readonly Spread[], storm: readonly Spread[], rssMb: number): void {
  const of = (spreads: readonly Spread[], name: keyof Spread) => spreads.map((spread) => spread[name]);
  process.stdout.write(
    `${ENVOYS} modelled Envoys, ${TENANTS} tenants, ${3 * SHARDS + 6} clusters, ${steady.length} moves at ${RATE}/s\n`,
  );
  printTable([
    ['ms from the KV put of head', 'p50', 'p90', 'p99', 'max'],
    percentileRow('received by the first', of(steady, 'first')),
    percentileRow('received by the last', of(steady, 'last')),
    percentileRow('while all reconnect: by the last', of(storm, 'last')),
    percentileRow('while all reconnect: by one that stays', of(storm, 'staying')),
  ]);
  process.stdout.write(`MB resident: xds ${rssMb.toFixed(0)}\n`);
  printJson({
    envoys: ENVOYS,
    tenants: TENANTS,
    shards_per_kind: SHARDS,
    moves: steady.length,
    first_p50_ms: rounded(percentile(of(steady, 'first'), 0.5)),
    p50_ms: rounded(percentile(of(steady, 'last'), 0.5)),
    p99_ms: rounded(percentile(of(steady, 'last'), 0.99)),
    max_ms: rounded(percentile(of(steady, 'last'), 1)),
    reconnect_max_ms: rounded(percentile(of(storm, 'last'), 1)),
    reconnect_staying_max_ms: rounded(percentile(of(storm, 'staying'), 1)),
    rss_xds_mb: rounded(rssMb),
  });
}

await measure();
