import type { Shard } from '#domain/routing/types.ts';
import type { JsonObject } from '../json.ts';

/** The endpoints of a shard. One without any is an answer too: Envoy must never wait for the endpoints of a cluster. */
export const loadAssignment = (cluster: string, shard: Pick<Shard, 'endpoints'>): JsonObject => ({
  cluster_name: cluster,
  endpoints:
    shard.endpoints.length === 0
      ? []
      : [
          {
            lb_endpoints: shard.endpoints.map(({ address, port, weight }) => ({
              endpoint: { address: { socket_address: { address, port_value: port } } },
              load_balancing_weight: weight,
            })),
          },
        ],
});
