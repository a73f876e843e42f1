import type { Clock } from '#ports/clock.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { HeadStatus, RoutingSource, RoutingStore } from '#ports/routing.ts';

/** What the routing endpoints work with. */
export interface RoutingServices {
  readonly routingStore: RoutingStore;
  /** What this replica decides by. */
  readonly routingSource: Pick<RoutingSource, 'current'>;
  /** What became of routing that did not come by this API, if any. */
  readonly headStatus: () => HeadStatus | undefined;
  readonly board: Pick<ReplicaBoard, 'live' | 'onChange' | 'ask'>;
  readonly clock: Clock;
}
