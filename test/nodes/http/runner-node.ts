import { refuse } from '#domain/errors.ts';
import { BoundedMap } from '../bounded-map.ts';
import type { NodeConfig } from '../config.ts';
import { NODE_LIMITS } from '../limits.ts';
import { PlacementEpochs } from '../placement-epochs.ts';
import type { RunningNode } from '../running-node.ts';
import { HttpReplies } from './http-replies.ts';
import { type NodeReply, type NodeRequest, serveHttp } from './http-server.ts';

/**
 * Serves the administration of background work: `GET /status`, `POST /pause`, `POST /resume`, each for the tenant of the
 * request; every other path is echoed. Paths are those after `/admin/runner`, which the gateway has taken off.
 * @throws Error when the address cannot be bound
 */
export function startRunnerNode(config: NodeConfig): Promise<RunningNode> {
  const replies = new HttpReplies(`runner/${config.shard}`);
  const epochs = new PlacementEpochs();
  const states = new BoundedMap<string, 'running' | 'paused'>(NODE_LIMITS.tenantsMaxCount);

  const handle = async (request: NodeRequest): Promise<NodeReply> => {
    const probe = replies.probe(request);
    if (probe !== undefined) return probe;
    const admitted = replies.admit(request, epochs);
    if ('refusal' in admitted) return admitted.refusal;
    const { tenant } = admitted;
    const need = NEEDED_METHODS[request.path];
    if (need !== undefined && need !== request.method)
      return replies.refuse(request, refuse('method_not_allowed', `${request.path} is a ${need}.`), { allow: need });
    if (need === undefined) return replies.json(echo(config.shard, tenant, request));
    if (request.path === '/pause') states.set(tenant, 'paused');
    if (request.path === '/resume') states.set(tenant, 'running');
    return replies.json({ shard: config.shard, tenant_id: tenant, state: states.get(tenant) ?? 'running' });
  };
  return serveHttp(config, handle, replies.bodyTooLarge);
}

const NEEDED_METHODS: Readonly<Record<string, string>> = { '/status': 'GET', '/pause': 'POST', '/resume': 'POST' };

function echo(shard: string, tenant: string, request: NodeRequest): object {
  return {
    shard,
    tenant_id: tenant,
    method: request.method,
    path: request.path,
    query: request.query,
    headers: request.headers,
    body: request.body.toString('utf8'),
  };
}
