import { readFileSync } from 'node:fs';
import { Agent, type ClientRequest, request as httpRequest } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import type { Socket } from 'node:net';
import type { JsonObject } from '@bufbuild/protobuf';
import { credentials } from '@grpc/grpc-js';
import { HEADER } from '#domain/headers.ts';
import { CommandClient, loadCommandProtocol } from '../../nodes/aggregate/command-service.ts';
import { metadataOf } from '../edge-client.ts';
import type { Flow } from './traffic.ts';

/** A POST of a JSON body, or with gRPC the command itself. */
export interface Outgoing {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;
}

interface Incoming {
  /** `200`, `grpc 14`, or what kept an answer from coming. */
  readonly status: string;
  /** The gateway's error code, '' without. */
  readonly code: string;
  readonly body: string;
}

/** Sends requests on connections that it keeps. */
export interface Sender extends Disposable {
  send(outgoing: Outgoing): Promise<Incoming>;
}

/** Hears of connections that end while they are kept; `wasTold` when the other side had announced it. */
type OnLost = (wasTold: boolean) => void;

const TIMEOUT_MS = 20_000;
const noAnswer = (why: string): Incoming => ({ status: why, code: '', body: '' });

/** A sender for a flow. @param url of the listener */
export function openSender(flow: Pick<Flow, 'wire' | 'tls'>, url: string, onLost: OnLost): Sender {
  if (flow.wire === 'http1') return http1(url, onLost);
  return flow.wire === 'http2' ? http2(url, onLost) : grpc(url, flow.tls, onLost);
}

function http1(url: string, onLost: OnLost): Sender {
  const isTls = url.startsWith('https');
  const agent = isTls ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
  const known = new WeakSet<Socket>();
  const told = new WeakSet<Socket>();
  let isOpen = true;
  const follow = (socket: Socket): void => {
    if (known.has(socket)) return;
    known.add(socket);
    socket.once('close', () => isOpen && onLost(told.has(socket)));
  };
  const send = ({ path, headers, body }: Outgoing): Promise<Incoming> =>
    new Promise((resolve) => {
      const text = JSON.stringify(body);
      const length = String(Buffer.byteLength(text));
      const options = {
        agent,
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', 'content-length': length },
        timeout: TIMEOUT_MS,
      };
      const outgoing: ClientRequest = isTls ? httpsRequest(url + path, options) : httpRequest(url + path, options);
      const failed = (error: Error) => resolve(noAnswer(error.message));
      outgoing.once('socket', follow);
      outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in time')));
      outgoing.once('error', failed);
      outgoing.once('response', (response) => {
        if (response.headers.connection === 'close') told.add(response.socket);
        let answered = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          answered += part;
        });
        response.once('error', failed);
        response.once('end', () =>
          resolve({
            status: String(response.statusCode),
            code: String(response.headers[HEADER.gatewayError] ?? ''),
            body: answered,
          }),
        );
      });
      outgoing.end(text);
    });
  return {
    send,
    [Symbol.dispose]() {
      isOpen = false;
      agent.destroy();
    },
  };
}

function http2(url: string, onLost: OnLost): Sender {
  let session: ClientHttp2Session | undefined;
  let isOpen = true;
  const open = (): ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session;
    const opened = connect(url);
    let wasTold = false;
    opened.once('goaway', (code) => {
      wasTold = code === 0;
    });
    opened.once('error', () => undefined);
    opened.once('close', () => isOpen && onLost(wasTold));
    session = opened;
    return opened;
  };
  const send = ({ path, headers, body }: Outgoing): Promise<Incoming> =>
    new Promise((resolve) => {
      const stream = open().request({
        ...headers,
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/json',
      });
      let head: Readonly<Record<string, unknown>> | undefined;
      let answered = '';
      let problem: Error | undefined;
      stream.setTimeout(TIMEOUT_MS, () => stream.close());
      stream.once('response', (received) => {
        head = received;
      });
      stream.setEncoding('utf8').on('data', (part: string) => {
        answered += part;
      });
      stream.once('error', (error) => {
        problem = error;
      });
      stream.once('close', () => {
        if (head === undefined || problem !== undefined || stream.rstCode !== 0)
          resolve(noAnswer(problem?.message ?? `stream reset ${stream.rstCode}`));
        else
          resolve({ status: String(head[':status']), code: String(head[HEADER.gatewayError] ?? ''), body: answered });
      });
      stream.end(JSON.stringify(body));
    });
  return {
    send,
    [Symbol.dispose]() {
      isOpen = false;
      session?.destroy();
    },
  };
}

const protocol = loadCommandProtocol();

function grpc(url: string, isTls: boolean, onLost: OnLost): Sender {
  // The authority that Node is started with; grpc-js has a list of its own.
  const authority = process.env['NODE_EXTRA_CA_CERTS'];
  const security = isTls && authority !== undefined ? credentials.createSsl(readFileSync(authority)) : undefined;
  const { host, port } = new URL(url);
  // grpc-js does not take an address for the name of a server, and the certificate has both.
  const client = new CommandClient(isTls ? `localhost:${port}` : host, protocol, security);
  let isOpen = true;
  client.onConnectionLost(() => isOpen && onLost(false));
  return {
    async send({ headers, body }) {
      const { error } = await client.submit(body, metadataOf(headers), { deadlineMs: TIMEOUT_MS });
      if (error === undefined) return { status: 'grpc 0', code: '', body: '' };
      const code = String(error.metadata.get(HEADER.gatewayError)[0] ?? '');
      return { status: `grpc ${error.code}`, code, body: error.details };
    },
    [Symbol.dispose]() {
      isOpen = false;
      client[Symbol.dispose]();
    },
  };
}
