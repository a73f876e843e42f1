import { LIMITS } from '#domain/limits.ts';
import type { ReplicaBoard, ReplicaState } from '#ports/replica-board.ts';

/** `all`, or the replicas that have not applied the change yet (they do when they hear of it, or stop answering). */
export type Applied = 'all' | readonly string[];

type Board = Pick<ReplicaBoard, 'live' | 'onChange'>;

/** Waits until every live authz replica decides by `revision` of the identity store, at most `appliedWaitMaxMs`. */
export const waitApplied = (board: Board, revision: number): Promise<Applied> =>
  waitForReplicas(board, (replica) => (replica.iamRevision ?? 0) >= revision);

/** The same for a revision of the routing. */
export const waitRouted = (board: Board, revision: number): Promise<Applied> =>
  waitForReplicas(board, (replica) => replica.routingRevision >= revision);

function waitForReplicas(board: Board, hasApplied: (replica: ReplicaState) => boolean): Promise<Applied> {
  const behind = () =>
    board
      .live('authz')
      .filter((replica) => !hasApplied(replica))
      .map((replica) => replica.replica)
      .sort();
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
