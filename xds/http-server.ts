import { createServer, type ServerResponse } from 'node:http';
import type { Metrics } from '#platform/metrics.ts';
import type { ControlPlane } from './control-plane.ts';

const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;

/** Internal surface: is the process alive, can it serve Envoys, and its metrics. */
export async function startHttpServer(options: {
  readonly listen: { readonly host: string; readonly port: number };
  readonly metrics: Metrics;
  readonly controlPlane: ControlPlane;
  /** Why the newest routing head is not in force here. */
  readonly problem: () => { readonly revision: number; readonly reason: string } | undefined;
}): Promise<AsyncDisposable> {
  const { metrics, controlPlane } = options;
  const revision = metrics.gauge('gateway_xds_routing_revision', 'Newest routing revision loaded.');
  const stamp = metrics.gauge('gateway_xds_stamp', 'Routing revision that Envoys are stamped with.');
  const envoys = metrics.gauge('gateway_xds_envoys', 'Envoys connected.');
  const answer = async (path: string, response: ServerResponse): Promise<void> => {
    if (path === '/health') return sendJson(response, 200, { status: 'ok' });
    if (path === '/ready') return sendReady(response);
    if (path !== '/metrics') return sendJson(response, 404, { status: 'not found' });
    revision.set(controlPlane.newestRevision);
    stamp.set(controlPlane.stampTarget);
    envoys.set(controlPlane.envoys().length);
    response.setHeader('content-type', metrics.registry.contentType);
    response.end(await metrics.registry.metrics());
  };
  const sendReady = (response: ServerResponse): void => {
    const problem = options.problem();
    sendJson(response, controlPlane.isReady ? 200 : 503, {
      status: controlPlane.isReady ? 'ready' : 'not ready',
      conditions: [
        { name: 'routing_revision', ok: controlPlane.isReady, detail: `revision ${controlPlane.newestRevision}` },
        {
          name: 'routing_head',
          ok: problem === undefined,
          ...(problem === undefined ? {} : { detail: problem.reason }),
        },
      ],
    });
  };
  const server = createServer((request, response) => {
    if (request.method !== 'GET') return sendJson(response, 405, { status: 'method not allowed' });
    answer(new URL(request.url ?? '/', 'http://localhost').pathname, response).catch(() => response.destroy());
  });
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.listen.port, options.listen.host, resolve);
  });
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
