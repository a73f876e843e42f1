import type { NatsLink } from '#adapters/nats/connection.ts';
import { NatsReplicaBoard } from '#adapters/nats/replica-board.ts';
import { parseAuthzSwapFacts, parseXdsSwapFacts, SWAP_QUESTION } from '#domain/routing/swap/swap-facts.ts';
import { createLog } from '#platform/log.ts';
import { until } from '../../test/support/wait.ts';

/** Milliseconds from the put of `head` to each station on the way of a move, of all moves of which it is known. */
export type Stations = Readonly<Record<(typeof STATIONS)[number], readonly number[]>>;

const STATIONS = ['authz holds it', 'xds holds it', 'Envoy is told', 'Envoy acknowledges'] as const;
const REPLICAS_DEADLINE_MS = 5_000;

/**
 * Where the time of moves went: from the swap records of the replicas (`gatewayctl routing swap`), asked when all is
 * over so that asking costs nothing meanwhile. Their times are whole milliseconds.
 */
export async function stationsOf(
  link: NatsLink,
  moves: readonly { readonly revision: number; readonly putAtMs: number }[],
): Promise<Stations> {
  await using board = new NatsReplicaBoard(link, createLog({ service: 'bench', level: 'silent' }));
  await until(() => board.live('xds').length > 0 && board.live('authz').length > 0, {
    deadlineMs: REPLICAS_DEADLINE_MS,
    what: 'the replicas to be heard of',
  });
  const stations: Record<(typeof STATIONS)[number], number[]> = {
    'authz holds it': [],
    'xds holds it': [],
    'Envoy is told': [],
    'Envoy acknowledges': [],
  };
  for (const { revision, putAtMs } of moves) {
    const times = await timesOf(board, revision);
    for (const [index, station] of STATIONS.entries()) {
      const atMs = times[index];
      if (atMs !== undefined) stations[station].push(Math.max(0, atMs - putAtMs));
    }
  }
  return stations;
}

/** In the order of STATIONS, of the one Envoy and one replica each that the development gateway has. */
async function timesOf(board: NatsReplicaBoard, revision: number): Promise<readonly (number | undefined)[]> {
  const answers = await board.ask({ topic: SWAP_QUESTION, body: { revision } });
  const bodyOf = (wanted: string) => answers.find(({ role }) => role === wanted)?.body;
  const xds = parseXdsSwapFacts(bodyOf('xds'));
  const envoy = xds?.envoys[0];
  return [parseAuthzSwapFacts(bodyOf('authz'))?.held?.atMs, xds?.loaded?.atMs, envoy?.sent?.atMs, envoy?.acked?.atMs];
}
