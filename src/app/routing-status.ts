import type { EnvoyState, ReplicaBoard, ReplicaState } from '#ports/replica-board.ts';

export interface RoutingStatus {
  readonly envoys: readonly EnvoyState[];
  readonly replicas: readonly ReplicaState[];
}

/** What the live replicas and the Envoys they serve route by now. An Envoy that changed its xds replica counts once. */
export function routingStatus(board: Pick<ReplicaBoard, 'live'>): RoutingStatus {
  const replicas = [...board.live('authz'), ...board.live('xds')];
  const envoys = new Map<string, EnvoyState>();
  for (const envoy of replicas.flatMap((replica) => replica.envoys ?? [])) {
    const known = envoys.get(envoy.node);
    if (known === undefined || known.connectedAt < envoy.connectedAt) envoys.set(envoy.node, envoy);
  }
  return { envoys: [...envoys.values()].sort((left, right) => (left.node < right.node ? -1 : 1)), replicas };
}
