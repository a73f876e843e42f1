import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HEADER } from '#domain/headers.ts';
import type { Tracing } from '#platform/tracing/tracing.ts';
import { problemContext } from './request-context.ts';

/** A span of each API request, named by its endpoint: paths hold ids, and queries hold one-time secrets. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  const begun = new WeakMap<FastifyRequest, number>();
  app.addHook('onRequest', async (request) => {
    // Probes and scrapes come without a trace, and are nobody's request.
    const traceparent = request.headers[HEADER.traceparent];
    if (typeof traceparent === 'string' && tracing.wants(traceparent)) begun.set(request, performance.now());
  });
  app.addHook('onResponse', async (request, reply) => {
    const startMs = begun.get(request);
    if (startMs === undefined) return;
    const { decisionId, correlationId } = problemContext(request);
    const route = request.routeOptions.url ?? 'unknown';
    const { statusCode } = reply;
    tracing.record({
      name: `${request.method} ${route}`,
      kind: 'server',
      traceparent: String(request.headers[HEADER.traceparent]),
      startMs,
      endMs: performance.now(),
      attributes: {
        'http.request.method': request.method,
        'http.route': route,
        'http.response.status_code': statusCode,
        'gateway.decision_id': decisionId,
        'gateway.correlation_id': correlationId,
      },
      // By the conventions of OpenTelemetry, what the client did wrong is no failure of the server.
      error: statusCode >= 500 ? `answered ${statusCode}` : undefined,
    });
  });
}
