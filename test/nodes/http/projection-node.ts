import { setTimeout as wait } from 'node:timers/promises';
import { refuse } from '#domain/errors.ts';
import { NODE_LIMITS } from '../limits.ts';
import { PlacementEpochs } from '../placement-epochs.ts';
import type { NodeStart, RunningNode } from '../running-node.ts';
import { traced } from '../trace-work.ts';
import { HttpReplies } from './http-replies.ts';
import { type NodeReply, type NodeRequest, serveHttp } from './http-server.ts';

/**
 * Serves `POST /v1/query/{view_type}`: any JSON object in, an echo of the request out. A member `delay_ms` of the body
 * delays the answer.
 * @throws Error when the address cannot be bound
 */
export function startProjectionNode(config: NodeStart): Promise<RunningNode> {
  const replies = new HttpReplies(`projection/${config.shard}`);
  const epochs = new PlacementEpochs();
  const handle = async (request: NodeRequest): Promise<NodeReply> => {
    const probe = replies.probe(request);
    if (probe !== undefined) return probe;
    const [, view] = /^\/v1\/query\/([^/]+)$/.exec(request.path) ?? [];
    if (view === undefined)
      return replies.refuse(request, refuse('not_found', 'A projection node serves /v1/query/{view_type}.'));
    if (request.method !== 'POST')
      return replies.refuse(request, refuse('method_not_allowed', 'A query is a POST.'), { allow: 'POST' });
    const admitted = replies.admit(request, epochs);
    if ('refusal' in admitted) return admitted.refusal;
    const delayMs = delayOf(request.body);
    if (delayMs === undefined)
      return replies.refuse(
        request,
        refuse('validation_failed', `The body must be a JSON object, delay_ms in it 0 to ${NODE_LIMITS.delayMaxMs}.`),
      );
    if (delayMs > 0) await wait(delayMs, undefined, { signal: request.gone });
    return replies.json({
      shard: config.shard,
      tenant_id: admitted.tenant,
      view_type: decoded(view),
      path: request.path,
      headers: request.headers,
    });
  };
  return serveHttp(config, traced(config, handle), replies.bodyTooLarge);
}

/** The delay a query asks for, 0 without one; undefined when the body is wrong. An empty body is an empty object. */
function delayOf(body: Buffer): number | undefined {
  const query = body.length === 0 ? {} : parsed(body);
  if (typeof query !== 'object' || query === null || Array.isArray(query)) return undefined;
  if (!('delay_ms' in query)) return 0;
  const delayMs: unknown = query.delay_ms;
  const valid = typeof delayMs === 'number' && delayMs >= 0 && delayMs <= NODE_LIMITS.delayMaxMs;
  return valid ? delayMs : undefined;
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** A path segment without its escapes; as it stands when they are broken. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
