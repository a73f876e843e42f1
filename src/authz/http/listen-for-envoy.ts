import { TLSSocket } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import type { Failure } from '#domain/errors.ts';
import type { ListenAddress } from '#platform/env.ts';
import { listenMutualTls, type ServerTls } from '#platform/internal-tls/listen-mutual-tls.ts';
import { sendProblem } from './error-map.ts';

/** What anybody who reaches the address in clear may ask: whether we live, whether we can decide, our metrics. */
const IN_CLEAR: readonly string[] = ['/health', '/ready', '/metrics'];
const HIDDEN: Failure = { code: 'not_found', detail: 'the API is served over TLS to Envoy alone' };

/**
 * Serves the API over mutual TLS, and from then on nothing of it in clear but health, readiness and metrics. Call it
 * before the app listens.
 * @throws Error when it cannot listen
 */
export async function listenForEnvoy(
  app: FastifyInstance,
  options: ServerTls & { readonly listen: ListenAddress },
): Promise<Disposable> {
  app.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    if (!(request.raw.socket instanceof TLSSocket) && !IN_CLEAR.includes(path)) {
      return sendProblem(request, reply, HIDDEN);
    }
  });
  await app.ready();
  const listener = await listenMutualTls({
    ...options,
    alpn: ['http/1.1'],
    onConnection: (socket) => app.server.emit('connection', socket),
  });
  options.log.info({ listen: options.listen }, 'API listens for Envoy');
  return listener;
}
