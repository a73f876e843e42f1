import { Agent, request as httpRequest } from 'node:http';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JsonObject } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { commandClient, metadataOf } from '../edge-client.ts';

/**
 * Clients that keep their connections and do as a server asks: after `connection: close` or GOAWAY the next request goes
 * on another connection. They send at a steady rate, whatever the answers, so that requests are under way at any time.
 */

/** One request: a POST with a JSON body, or a GET when it has none. */
export interface Send {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** What became of the requests of a client. */
interface Tally {
  /** Answered with 200. */
  served: number;
  /** Nobody listened any more: never accepted by anybody. */
  refused: number;
  /** Everything else, in words. */
  readonly lost: string[];
}

export interface KeptClient {
  readonly tally: Tally;
  /** Sends nothing more, waits for what is under way and closes its connections. */
  stop(): Promise<void>;
}

type Outcome = 'served' | 'refused' | { readonly lost: string };

/** One kind of client: sends a request, and closes what it keeps. */
interface Sender {
  send(): Promise<Outcome>;
  close(): void;
}

const ATTEMPTS_MAX_COUNT = 3;
const REQUEST_TIMEOUT_MS = 15_000;

/** Sends `perSecond` requests a second until it is stopped. */
function startSending(sender: Sender, perSecond: number): KeptClient {
  const tally: Tally = { served: 0, refused: 0, lost: [] };
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();
  const sendOne = (): void => {
    const sent = sender.send().then((outcome) => {
      if (typeof outcome === 'object') tally.lost.push(`${new Date().toISOString()} ${outcome.lost}`);
      else tally[outcome] += 1;
      underWay.delete(sent);
    });
    underWay.add(sent);
  };
  const running = (async () => {
    const startedAt = performance.now();
    for (let count = 0; !stopping.signal.aborted; count += 1) {
      const waitMs = startedAt + (count * 1_000) / perSecond - performance.now();
      if (waitMs > 1) await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (!stopping.signal.aborted) sendOne();
    }
  })();
  return {
    tally,
    stop: async () => {
      stopping.abort();
      await running;
      await Promise.all(underWay);
      sender.close();
    },
  };
}

/** HTTP/1.1 with kept connections. @param next makes the next request */
export function http1Client(http: string, next: () => Send, perSecond: number): KeptClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const send = (): Promise<Outcome> =>
    new Promise((resolve) => {
      const { path, headers, body } = next();
      const request = httpRequest(`${http}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        agent,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        timeout: REQUEST_TIMEOUT_MS,
      });
      const lose = (why: string) =>
        resolve({ lost: `http/1.1 ${path} ${request.reusedSocket ? 'kept' : 'new'}: ${why}` });
      request.once('timeout', () => request.destroy(new Error('timeout')));
      request.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') resolve('refused');
        else lose(`${error.code ?? ''} ${error.message}`);
      });
      request.once('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.once('error', (error) => lose(`answer cut: ${error.message}`));
        response.once('end', () => {
          if (response.statusCode === 200) resolve('served');
          else lose(`${response.statusCode} ${text.slice(0, 200)}`);
        });
      });
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  return startSending({ send, close: () => agent.destroy() }, perSecond);
}

/** HTTP/2 in clear on one connection, replaced as soon as the server says that it goes. */
export function http2Client(http: string, next: () => Send, perSecond: number): KeptClient {
  let session: ClientHttp2Session | undefined;
  let connectError: NodeJS.ErrnoException | undefined;
  const open = (): ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session;
    connectError = undefined;
    const opened = connect(http);
    opened.on('error', (error: NodeJS.ErrnoException) => {
      connectError = error;
    });
    session = opened;
    return opened;
  };
  // A refused stream was processed by nobody, and is to be sent again elsewhere (RFC 9113, 8.7).
  const send = async (): Promise<Outcome> => {
    const post = next();
    for (let attempt = 1; attempt <= ATTEMPTS_MAX_COUNT; attempt += 1) {
      const outcome = await sendOnce(post);
      if (outcome !== 'refused stream') return outcome;
    }
    return { lost: `h2 ${post.path}: refused ${ATTEMPTS_MAX_COUNT} times` };
  };
  const sendOnce = ({ path, headers, body }: Send): Promise<Outcome | 'refused stream'> =>
    new Promise((resolve) => {
      const lose = (why: string) =>
        resolve(connectError?.code === 'ECONNREFUSED' ? 'refused' : { lost: `h2 ${path}: ${why}` });
      const stream = open().request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/json',
        ...headers,
      });
      let answered: number | undefined;
      let text = '';
      stream.setTimeout(REQUEST_TIMEOUT_MS, () => stream.close());
      stream.once('response', (answer) => {
        answered = answer[':status'];
      });
      stream.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      // The connection's own error comes after the stream's.
      stream.once('error', (error) =>
        setImmediate(() => {
          if (stream.rstCode !== constants.NGHTTP2_REFUSED_STREAM) lose(error.message);
        }),
      );
      stream.once('close', () =>
        setImmediate(() => {
          if (answered === 200 && stream.rstCode === 0) resolve('served');
          else if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) resolve('refused stream');
          else lose(`${answered ?? 'no answer'}, reset ${stream.rstCode} ${text.slice(0, 200)}`);
        }),
      );
      stream.end(body === undefined ? undefined : JSON.stringify(body));
    });
  return startSending({ send, close: () => session?.close() }, perSecond);
}

/** Native gRPC by grpc-js, which replaces its connection by itself. */
export function grpcClient(
  http: string,
  next: () => { readonly request: JsonObject; readonly headers: Readonly<Record<string, string>> },
  perSecond: number,
): KeptClient {
  const client = commandClient(http);
  const send = async (): Promise<Outcome> => {
    const { request, headers } = next();
    const { error } = await client.submit(request, metadataOf(headers), { deadlineMs: REQUEST_TIMEOUT_MS });
    if (error === undefined) return 'served';
    const isRefused = error.code === status.UNAVAILABLE && error.details.includes('ECONNREFUSED');
    return isRefused ? 'refused' : { lost: `grpc: ${error.code} ${error.details}` };
  };
  return startSending({ send, close: () => client[Symbol.dispose]() }, perSecond);
}
