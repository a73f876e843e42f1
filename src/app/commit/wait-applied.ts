import { LIMITS } from '#domain/limits.ts';
import type { ReplicaBoard, ReplicaState } from '#ports/replica-board.ts';

/** `all`, or the replicas (and Envoys) that have not applied the change yet (they do when they hear of it, or stop answering). */
export type Applied = 'all' | readonly string[];

type Board = Pick<ReplicaBoard, 'live' | 'onChange'>;

/** Waits until every live authz replica decides by `revision` of the identity store, at most `appliedWaitMaxMs`. */
export const waitApplied = (board: Board, revision: number): Promise<Applied> =>
  waitUntilNobodyIsBehind(board, () =>
    namesOf(board.live('authz'), (replica) => (replica.iamRevision ?? 0) < revision),
  );

/**
 * Waits until a routing revision is in force: every live authz replica decides by it, and every connected Envoy has
 * acknowledged its stamp. Then the next request is routed by it.
 */
export const waitRouted = (board: Board, revision: number): Promise<Applied> =>
  waitUntilNobodyIsBehind(board, () => [
    ...namesOf(board.live('authz'), (replica) => replica.routingRevision < revision),
    ...board
      .live('xds')
      .flatMap((replica) => replica.envoys ?? [])
      .filter((envoy) => envoy.acked < revision)
      .map((envoy) => `envoy ${envoy.node}`)
      .sort(),
  ]);

const namesOf = (replicas: readonly ReplicaState[], isBehind: (replica: ReplicaState) => boolean): readonly string[] =>
  replicas
    .filter(isBehind)
    .map((replica) => replica.replica)
    .sort();

function waitUntilNobodyIsBehind(board: Board, behind: () => readonly string[]): Promise<Applied> {
  return new Promise((resolve) => {
    const finish = (applied: Applied) => {
      clearTimeout(timer);
      stop();
      resolve(applied);
    };
    const look = () => {
      if (behind().length === 0) finish('all');
    };
    const timer = setTimeout(() => {
      const late = behind();
      finish(late.length === 0 ? 'all' : late);
    }, LIMITS.appliedWaitMaxMs);
    const stop = board.onChange(look);
    look();
  });
}
