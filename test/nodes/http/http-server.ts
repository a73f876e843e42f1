import { once } from 'node:events';
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { LIMITS } from '#domain/limits.ts';
import { listenMutualTls, type ServerTls } from '#platform/internal-tls/listen-mutual-tls.ts';
import { ECHO_HEADER, echoedHeaders } from '../echoed-headers.ts';
import { NODE_LIMITS } from '../limits.ts';
import type { RunningNode } from '../running-node.ts';

/** One request, the same for HTTP/1.1 and HTTP/2. */
export interface NodeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** All headers as received, names in lower case, several values joined as RFC 9110 section 5.3 says. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Aborts when the caller goes away. */
  readonly gone: AbortSignal;
  /** The node is stopping. */
  readonly stopping: boolean;
}

export interface NodeReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type NodeHandler = (request: NodeRequest) => Promise<NodeReply>;

type AnyRequest = IncomingMessage | Http2ServerRequest;
type AnyResponse = ServerResponse | Http2ServerResponse;

/** Every HTTP/2 connection opens with this (RFC 9113 section 3.4); no HTTP/1.1 method is called PRI. */
const HTTP2_PREFACE = 'PRI ';

/**
 * Serves HTTP/1.1 and HTTP/2 with prior knowledge on one port: the first bytes of a connection tell them apart.
 * @param onBodyTooLarge the reply to a body above LIMITS.requestBodyMaxBytes
 * @throws Error when the address cannot be bound
 */
export async function serveHttp(
  listen: { readonly host: string; readonly port: number; readonly tls?: ServerTls | undefined },
  handle: NodeHandler,
  onBodyTooLarge: (request: Omit<NodeRequest, 'body'>) => NodeReply,
): Promise<RunningNode> {
  let stopping = false;
  const sockets = new Set<Socket>();
  const http1Sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  let running = 0;

  const answer = async (request: AnyRequest, response: AnyResponse): Promise<void> => {
    running += 1;
    const gone = new AbortController();
    response.once('close', () => {
      running -= 1;
      gone.abort();
      if (stopping) closeIdle();
    });
    try {
      const head = { ...headOf(request), gone: gone.signal, stopping };
      const body = await readBody(request);
      const reply = body === undefined ? onBodyTooLarge(head) : await handle({ ...head, body });
      const headers = { ...reply.headers, ...echoedHeaders(head.headers[ECHO_HEADER]) };
      send(response, { ...reply, headers }, stopping);
    } catch (error) {
      if (gone.signal.aborted) return;
      send(response, { status: 500, headers: { 'content-type': 'text/plain' }, body: String(error) }, stopping);
    }
  };
  const onRequest = (request: AnyRequest, response: AnyResponse): void => void answer(request, response);

  // The gateway closes idle connections; a node that did it first would cut off a request that is just being sent.
  const http1 = createHttp1Server({ keepAliveTimeout: NODE_LIMITS.keepAliveMs }, onRequest);
  // By default answers that nobody takes may use up 10 MB together; then Node refuses all others.
  const http2 = createHttp2Server({ maxSessionMemory: NODE_LIMITS.http2SessionMaxMegabytes }, onRequest);
  http2.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
  });
  const take = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      http1Sockets.delete(socket);
    });
    socket.on('error', () => socket.destroy());
    firstBytes(socket, (bytes) => {
      const isHttp2 = bytes.toString('latin1').startsWith(HTTP2_PREFACE);
      if (!isHttp2) http1Sockets.add(socket);
      (isHttp2 ? http2 : http1).emit('connection', socket);
    });
  };

  /** Connections without a request; HTTP/2 ones end by themselves after their last stream. */
  function closeIdle(): void {
    for (const session of sessions) if (!session.closed) session.close();
    if (running === 0) for (const socket of http1Sockets) socket.end();
  }

  const listener = await (listen.tls === undefined ? acceptInClear(listen, take) : acceptTls(listen, listen.tls, take));
  return {
    port: listener.port,
    async [Symbol.asyncDispose]() {
      stopping = true;
      listener.stop();
      const closed = Promise.all([...sockets].map((socket) => once(socket, 'close')));
      closeIdle();
      const late = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, NODE_LIMITS.drainMs);
      await closed;
      clearTimeout(late);
    },
  };
}

interface Listener {
  readonly port: number;
  /** Takes no new connections from now on. */
  stop(): void;
}

type Listen = { readonly host: string; readonly port: number };

async function acceptInClear(listen: Listen, take: (socket: Socket) => void): Promise<Listener> {
  const tcp = createTcpServer(take);
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(listen.port, listen.host, resolve);
  });
  const bound = tcp.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
  return { port, stop: () => tcp.close() };
}

async function acceptTls(listen: Listen, tls: ServerTls, take: (socket: Socket) => void): Promise<Listener> {
  const where = { host: listen.host, port: listen.port };
  const listener = await listenMutualTls({ ...tls, listen: where, alpn: ['h2', 'http/1.1'], onConnection: take });
  return { port: listener.port ?? listen.port, stop: () => listener[Symbol.dispose]() };
}

/** Hands over a new connection once its first bytes can be seen, unread. */
function firstBytes(socket: Socket, use: (bytes: Buffer) => void): void {
  const silent = setTimeout(() => socket.destroy(), NODE_LIMITS.firstByteTimeoutMs);
  socket.once('close', () => clearTimeout(silent));
  const look = (): void => {
    const bytes: unknown = socket.read();
    if (!(bytes instanceof Buffer)) {
      socket.once('readable', look);
      return;
    }
    clearTimeout(silent);
    socket.unshift(bytes);
    use(bytes);
  };
  socket.once('readable', look);
}

function headOf(request: AnyRequest): Pick<NodeRequest, 'method' | 'path' | 'query' | 'headers'> {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !name.startsWith(':')) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  const path = mark === -1 ? target : target.slice(0, mark);
  return { method: request.method ?? 'GET', path, query: mark === -1 ? '' : target.slice(mark + 1), headers };
}

/** The whole body; undefined when it is too large (the rest is read and dropped, so that the answer arrives). */
async function readBody(request: AnyRequest): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let count = 0;
  for await (const part of request) {
    const bytes = Buffer.from(part);
    count += bytes.length;
    if (count <= LIMITS.requestBodyMaxBytes) parts.push(bytes);
    else parts.length = 0;
  }
  return count > LIMITS.requestBodyMaxBytes ? undefined : Buffer.concat(parts);
}

function send(response: AnyResponse, reply: NodeReply, stopping: boolean): void {
  response.statusCode = reply.status;
  for (const [name, value] of Object.entries(reply.headers)) response.setHeader(name, value);
  // RFC 9113 section 8.2.2 forbids the header on HTTP/2, which has GOAWAY.
  if (stopping && !('stream' in response)) response.setHeader('connection', 'close');
  response.end(reply.body);
}
