import type { Metrics } from '#platform/metrics.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { AuthzConfig } from '../config.ts';
import { createRateGuard, type RateGuard } from '../ext-authz/rate-guard.ts';

/** The request limits of this replica: its part among those that are alive, counted anew only when one comes or goes. */
export function openRates(
  config: Pick<AuthzConfig, 'rateLimits'>,
  metrics: Metrics,
  board: Pick<ReplicaBoard, 'live' | 'onChange'>,
  stack: AsyncDisposableStack,
): RateGuard {
  let sharers = 1;
  const recount = () => {
    sharers = Math.max(1, board.live('authz').length);
  };
  stack.defer(board.onChange(recount));
  recount();
  return createRateGuard({ limits: config.rateLimits, sharers: () => sharers, metrics });
}
