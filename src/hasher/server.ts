import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Argon2Engine } from './engines.ts';
import { isOutdated, parsePhc } from './phc.ts';
import { QueueFullError, type WorkQueue } from './work-queue.ts';

const BODY_MAX_BYTES = 16_384;

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * The hasher's HTTP interface, for the authz service alone (its socket has mode 0600):
 * - `POST /hash {"password"}` -> `{"hash"}`;
 * - `POST /verify {"password", "hash" or null}` -> `{"matches","outdated"}`; null does the work of a verification with
 *   the current parameters and matches nothing, so that an unknown account takes as long as a known one;
 * - `GET /health` -> the engine and the queue.
 * 503 = the queue is full. Passwords are never logged and never kept.
 */
export async function createHasherServer(options: {
  readonly engine: Argon2Engine;
  readonly queue: WorkQueue;
}): Promise<Server> {
  const { engine, queue } = options;
  const dummyHash = await engine.hash('no account has this password');

  async function answer(request: IncomingMessage, gone: AbortSignal): Promise<Answer> {
    const route = `${request.method} ${request.url}`;
    if (route === 'GET /health') {
      return {
        status: 200,
        body: { status: 'ok', engine: engine.name, in_flight: queue.inFlight, waiting: queue.waiting },
      };
    }
    if (route !== 'POST /hash' && route !== 'POST /verify') return { status: 404, body: { error: 'not_found' } };
    const body = parseBody(await readBody(request));
    if (body === undefined) return { status: 400, body: { error: 'malformed' } };
    if (route === 'POST /hash') {
      return { status: 200, body: { hash: await queue.run(() => engine.hash(body.password), gone) } };
    }
    const hash = body.hash ?? dummyHash;
    const equal = await queue.run(() => engine.verify(hash, body.password), gone);
    const parsed = parsePhc(hash);
    const matches = equal && body.hash !== undefined;
    return { status: 200, body: { matches, outdated: parsed !== undefined && isOutdated(parsed) } };
  }

  const server = createServer((request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    answer(request, gone.signal).then(
      (result) => send(response, result),
      (error: unknown) => send(response, failure(error)),
    );
  });
  // The client keeps connections open between bursts; this end must not close first, under a request just sent.
  server.keepAliveTimeout = 65_000;
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  return server;
}

const failure = (error: unknown): Answer =>
  error instanceof QueueFullError
    ? { status: 503, body: { error: 'overloaded' } }
    : { status: error instanceof BodyTooLargeError ? 413 : 500, body: { error: 'failed' } };

function send(response: ServerResponse, { status, body }: Answer): void {
  if (response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

class BodyTooLargeError extends Error {}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > BODY_MAX_BYTES) throw new BodyTooLargeError('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseBody(text: string): { readonly password: string; readonly hash?: string } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('password' in value)) return undefined;
  const { password } = value;
  const hash = 'hash' in value ? value.hash : null;
  if (typeof password !== 'string') return undefined;
  if (hash === null) return { password };
  return typeof hash === 'string' ? { password, hash } : undefined;
}
