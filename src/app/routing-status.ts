import type { EnvoyState, QuarantinedShard, ReplicaBoard, ReplicaState } from '#ports/replica-board.ts';

export interface RoutingStatus {
  readonly envoys: readonly EnvoyState[];
  readonly replicas: readonly ReplicaState[];
  readonly quarantined: readonly QuarantinedShard[];
}

/** What the live replicas and the Envoys they serve route by now, and what they keep back. An Envoy that changed its xds replica counts once. */
export function routingStatus(board: Pick<ReplicaBoard, 'live'>): RoutingStatus {
  const replicas = [...board.live('authz'), ...board.live('xds')];
  const envoys = new Map<string, EnvoyState>();
  for (const envoy of replicas.flatMap((replica) => replica.envoys ?? [])) {
    const known = envoys.get(envoy.node);
    if (known === undefined || known.connectedAt < envoy.connectedAt) envoys.set(envoy.node, envoy);
  }
  return {
    envoys: [...envoys.values()].sort((left, right) => (left.node < right.node ? -1 : 1)),
    replicas,
    quarantined: quarantinedBy(replicas),
  };
}

/** Each shard once, in the order of their names; of two replicas that differ, the one whose Envoys have nothing. */
function quarantinedBy(replicas: readonly ReplicaState[]): readonly QuarantinedShard[] {
  const shards = new Map<string, QuarantinedShard>();
  for (const entry of replicas.flatMap((replica) => replica.quarantined ?? [])) {
    const name = `${entry.kind}/${entry.shard}`;
    if (shards.get(name)?.serving !== 'nothing') shards.set(name, entry);
  }
  return [...shards].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, entry]) => entry);
}
