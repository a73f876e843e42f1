import type { Clock } from '#ports/clock.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { RoutingSource, RoutingStore } from '#ports/routing.ts';

/** What the routing endpoints work with. */
export interface RoutingServices {
  readonly routingStore: RoutingStore;
  /** What this replica decides by. */
  readonly routingSource: Pick<RoutingSource, 'current'>;
  readonly board: Pick<ReplicaBoard, 'live' | 'onChange' | 'ask'>;
  readonly clock: Clock;
}
