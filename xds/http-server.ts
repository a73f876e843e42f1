import { createServer, type ServerResponse } from 'node:http';
import type { Metrics } from '#platform/metrics.ts';
import type { ControlPlane } from './control-plane.ts';
import type { KnownGoodKeeper } from './last-known-good/known-good-keeper.ts';
import type { RoutingInForce, RoutingOrigin } from './last-known-good/routing-in-force.ts';

const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const ORIGINS: readonly RoutingOrigin[] = ['none', 'disk', 'storage'];

export interface HttpServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly metrics: Metrics;
  readonly controlPlane: ControlPlane;
  readonly routing: RoutingInForce;
  /** Undefined when nothing is kept on the disk. */
  readonly keeper: KnownGoodKeeper | undefined;
  /** Why the newest routing head is not in force here. */
  readonly storage: { problem(): { readonly revision: number; readonly reason: string } | undefined };
  readonly isConnected: () => boolean;
}

/** Internal surface: is the process alive, can it serve Envoys, and its metrics. */
export async function startHttpServer(options: HttpServerOptions): Promise<AsyncDisposable> {
  const { metrics } = options;
  const collect = exportState(options);
  const answer = async (path: string, response: ServerResponse): Promise<void> => {
    if (path === '/health') return sendJson(response, 200, { status: 'ok' });
    if (path === '/ready') return sendReady(response, options);
    if (path !== '/metrics') return sendJson(response, 404, { status: 'not found' });
    collect();
    response.setHeader('content-type', metrics.registry.contentType);
    response.end(await metrics.registry.metrics());
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

/** Ready is who can serve Envoys; the other conditions say what an operator should look at. */
function sendReady(response: ServerResponse, options: HttpServerOptions): void {
  const { controlPlane, routing, keeper, storage } = options;
  const { isReady, newestRevision } = controlPlane;
  const headProblem = routing.problem ?? storage.problem();
  const lost = lossOf(options);
  sendJson(response, isReady ? 200 : 503, {
    status: isReady ? 'ready' : 'not ready',
    conditions: [
      condition('routing_revision', isReady, `revision ${newestRevision}`),
      condition('source', isReady && routing.origin !== 'disk', sourceOf(routing.origin, newestRevision)),
      condition('storage', options.isConnected(), options.isConnected() ? 'connected' : 'not connected'),
      condition('routing_head', headProblem === undefined, headProblem?.reason),
      ...(keeper === undefined
        ? []
        : [condition('last_known_good', lost === undefined, lost ?? `revision ${keeper.keptRevision}`)]),
    ],
  });
}

/** Why a start without NATS would have nothing to serve, as far as the disk is to blame. */
function lossOf({ routing, keeper }: HttpServerOptions): string | undefined {
  if (keeper?.problem !== undefined) return keeper.problem;
  return keeper?.keptRevision === 0 ? routing.refused : undefined;
}

const condition = (name: string, ok: boolean, detail: string | undefined) => ({
  name,
  ok,
  ...(detail === undefined ? {} : { detail }),
});

const sourceOf = (origin: RoutingOrigin, revision: number): string =>
  origin === 'none' ? 'no routing yet' : `${origin}, revision ${revision}`;

/** Makes the gauges. @returns a function that sets them to what is true now */
function exportState(options: HttpServerOptions): () => void {
  const { metrics, controlPlane, routing, keeper, isConnected } = options;
  const revision = metrics.gauge('gateway_xds_routing_revision', 'Newest routing revision loaded.');
  const stamp = metrics.gauge('gateway_xds_stamp', 'Routing revision that Envoys are stamped with.');
  const envoys = metrics.gauge('gateway_xds_envoys', 'Envoys connected.');
  const source = metrics.gauge('gateway_xds_source', 'Where the routing served came from (1).', ['source']);
  const connected = metrics.gauge('gateway_xds_storage_connected', 'Whether NATS is connected.');
  const kept = metrics.gauge('gateway_xds_last_known_good_revision', 'Routing revision kept on the disk.');
  const failed = metrics.gauge('gateway_xds_last_known_good_failed', 'Whether the disk cannot keep the routing.');
  return () => {
    revision.set(controlPlane.newestRevision);
    stamp.set(controlPlane.stampTarget);
    envoys.set(controlPlane.envoys().length);
    for (const origin of ORIGINS) source.set({ source: origin }, origin === routing.origin ? 1 : 0);
    connected.set(isConnected() ? 1 : 0);
    kept.set(keeper?.keptRevision ?? 0);
    failed.set(lossOf(options) === undefined ? 0 : 1);
  };
}
