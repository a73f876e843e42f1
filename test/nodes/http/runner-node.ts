import { refuse } from '#domain/errors.ts';
import { HEADER } from '#domain/headers.ts';
import { BoundedMap } from '../bounded-map.ts';
import { NODE_LIMITS } from '../limits.ts';
import { PlacementEpochs } from '../placement-epochs.ts';
import type { NodeStart, RunningNode } from '../running-node.ts';
import { traced } from '../trace-work.ts';
import { HttpReplies } from './http-replies.ts';
import { type NodeReply, type NodeRequest, serveHttp } from './http-server.ts';

/**
 * Serves the administration of background work: `GET /status`, `POST /pause`, `POST /resume`, each for the tenant of the
 * request; every other path is echoed, also without a tenant: a platform admin may ask a shard as a whole. Paths are
 * those after `/admin/runner`, which the gateway has taken off.
 * @throws Error when the address cannot be bound
 */
export function startRunnerNode(config: NodeStart): Promise<RunningNode> {
  const replies = new HttpReplies(`runner/${config.shard}`);
  const epochs = new PlacementEpochs();
  const states = new BoundedMap<string, 'running' | 'paused'>(NODE_LIMITS.tenantsMaxCount);

  const handle = async (request: NodeRequest): Promise<NodeReply> => {
    const probe = replies.probe(request);
    if (probe !== undefined) return probe;
    const need = NEEDED_METHODS[request.path];
    const asksShard = need === undefined && request.headers[HEADER.tenantId] === undefined;
    if (asksShard) return replies.json(echo(config.shard, null, request));
    const admitted = replies.admit(request, epochs);
    if ('refusal' in admitted) return admitted.refusal;
    const { tenant } = admitted;
    if (need !== undefined && need !== request.method)
      return replies.refuse(request, refuse('method_not_allowed', `${request.path} is a ${need}.`), { allow: need });
    if (need === undefined) return replies.json(echo(config.shard, tenant, request));
    if (request.path === '/pause') states.set(tenant, 'paused');
    if (request.path === '/resume') states.set(tenant, 'running');
    return replies.json({ shard: config.shard, tenant_id: tenant, state: states.get(tenant) ?? 'running' });
  };
  return serveHttp(config, traced(config, handle), replies.bodyTooLarge);
}

const NEEDED_METHODS: Readonly<Record<string, string>> = { '/status': 'GET', '/pause': 'POST', '/resume': 'POST' };

function echo(shard: string, tenant: string | null, request: NodeRequest): object {
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
