import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { DrainNotice } from '../drain-notice.ts';

/** What Envoy's health check of the API asks for. */
const HEALTH_PATH = '/health';

/**
 * Gives an app a graceful end, before it listens. @returns a function that begins it: `/health` says 503, so that Envoy
 * sends no new requests; those that still come are answered as ever, with `connection: close` (RFC 9112, 9.6). It
 * resolves when the app may be closed.
 */
export function addLeave(app: FastifyInstance): () => Promise<void> {
  const notice = new DrainNotice();
  // Counted here: the server itself does not count connections that TLS in front of it hands over.
  const open = new Set<Socket>();
  app.server.on('connection', (socket) => {
    const peer = peerOf(socket);
    open.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      notice.gone(peer);
    });
  });
  app.addHook('onRequest', async (request, reply) => {
    if (request.url === HEALTH_PATH) notice.asked(peerOf(request.socket));
    else notice.called();
    if (notice.isLeaving && request.url === HEALTH_PATH) return reply.code(503).send({ status: 'leaving' });
  });
  // As late as can be: the request may have come before the end began.
  app.addHook('onSend', async (_, reply) => {
    if (notice.isLeaving) reply.header('connection', 'close');
  });
  return async () => {
    const isAlone = open.size === 0;
    // Asked once: afterwards nobody may be connected for a moment because we close every connection with its answer.
    await notice.untilNoticed(() => (isAlone ? 0 : 1));
  };
}

const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress}:${remotePort}`;
