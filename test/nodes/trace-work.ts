import { HEADER } from '#domain/headers.ts';
import type { Tracing } from '#platform/tracing/tracing.ts';
import type { NodeHandler, NodeReply } from './http/http-server.ts';
import type { NodeStart } from './running-node.ts';

interface Work {
  readonly name: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly startMs: number;
  readonly error: string | undefined;
}

/** A node's span of one request, under the span that the gateway names in `traceparent`. */
export function recordWork(tracing: Tracing | undefined, shard: string, work: Work): void {
  const traceparent = work.headers[HEADER.traceparent];
  // Health checks have none.
  if (traceparent === undefined) return;
  tracing?.record({
    name: work.name,
    kind: 'server',
    traceparent,
    startMs: work.startMs,
    endMs: performance.now(),
    attributes: {
      'gateway.cluster': shard,
      'gateway.tenant_id': work.headers[HEADER.tenantId],
      'gateway.decision_id': work.headers[HEADER.decisionId],
    },
    error: work.error,
  });
}

/** The same handler, with a span of each request it answers. */
export function traced({ kind, shard, tracing }: NodeStart, handle: NodeHandler): NodeHandler {
  return async (request) => {
    const startMs = performance.now();
    const { headers } = request;
    const ended = (error: string | undefined) =>
      recordWork(tracing, `${kind}/${shard}`, { name: `${kind} ${request.method}`, headers, startMs, error });
    try {
      const reply: NodeReply = await handle(request);
      ended(reply.status >= 500 ? `answered ${reply.status}` : undefined);
      return reply;
    } catch (error) {
      ended('failed');
      throw error;
    }
  };
}
