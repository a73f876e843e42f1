import { readFile } from 'node:fs/promises';
import { request as requestClear } from 'node:http';
import { connect } from 'node:http2';
import { request as requestTls } from 'node:https';
import type { RunFile } from '../../../src/launcher/run-file.ts';

/** A request as it goes over any listener and version. */
export interface ListenerRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** All that a client sees of an answer. */
export interface ListenerAnswer {
  /** Undefined: the stream or the connection was ended instead. */
  readonly status: number | undefined;
  /** Headers and trailers, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** One way to reach the gateway; each request has a connection of its own. */
export interface ListenerClient {
  readonly name: 'HTTP/1.1 in clear' | 'HTTP/2 in clear' | 'HTTP/1.1 over TLS' | 'HTTP/2 over TLS';
  send(request: ListenerRequest): Promise<ListenerAnswer>;
}

const TIMEOUT_MS = 20_000;

export async function listenerClients(run: RunFile): Promise<readonly ListenerClient[]> {
  const ca = await readFile(run.ca, 'utf8');
  return [
    { name: 'HTTP/1.1 in clear', send: (request) => overHttp1(run.http, request) },
    { name: 'HTTP/2 in clear', send: (request) => overHttp2(run.http, request) },
    { name: 'HTTP/1.1 over TLS', send: (request) => overHttp1(run.https, request, ca) },
    { name: 'HTTP/2 over TLS', send: (request) => overHttp2(run.https, request, ca) },
  ];
}

function overHttp1(url: string, request: ListenerRequest, ca?: string): Promise<ListenerAnswer> {
  return new Promise((resolve, reject) => {
    const { method, path, headers, body } = request;
    const length = body === undefined ? {} : { 'content-length': String(body.length) };
    const options = { method, headers: { ...headers, ...length }, agent: false, timeout: TIMEOUT_MS };
    const where = new URL(path, url);
    const call = ca === undefined ? requestClear(where, options) : requestTls(where, { ...options, ca });
    call.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      // An answer may end with the connection: what is there is there.
      response.on('close', () =>
        resolve({
          status: response.statusCode,
          headers: { ...joined(response.headers), ...joined(response.trailers) },
          text: Buffer.concat(parts).toString('utf8'),
        }),
      );
    });
    call.on('timeout', () => reject(new Error(`${method} ${path}: no answer in time`)));
    // After a refusal the rest of the body may be reset; without any answer this is one.
    call.on('error', () => resolve(NO_ANSWER));
    call.end(body);
  });
}

const NO_ANSWER: ListenerAnswer = { status: undefined, headers: {}, text: '' };

function overHttp2(url: string, request: ListenerRequest, ca?: string): Promise<ListenerAnswer> {
  return new Promise((resolve, reject) => {
    const session = connect(url, ca === undefined ? {} : { ca });
    let answer = NO_ANSWER;
    session.on('error', reject);
    const stream = session.request({ ...request.headers, ':method': request.method, ':path': request.path });
    stream.setTimeout(TIMEOUT_MS, () => reject(new Error(`${request.method} ${request.path}: no answer in time`)));
    stream.setEncoding('utf8');
    stream.on('response', (headers) => {
      answer = { ...answer, status: headers[':status'], headers: joined(headers) };
    });
    stream.on('trailers', (trailers) => {
      answer = { ...answer, headers: { ...answer.headers, ...joined(trailers) } };
    });
    stream.on('data', (part: string) => {
      answer = { ...answer, text: answer.text + part };
    });
    // A reset behind an answer takes nothing from it.
    stream.on('error', () => undefined);
    stream.on('close', () => {
      session.destroy();
      resolve(answer);
    });
    stream.end(request.body);
  });
}

const joined = (headers: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers)
      .filter(([name, value]) => !name.startsWith(':') && value !== undefined)
      .map(([name, value]) => [name, String(value)]),
  );
