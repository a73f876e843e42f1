import { request as requestHttp1 } from 'node:http';
import { connect } from 'node:http2';

/** One request as it goes over the wire. Names in lower case; several values of one name are sent one by one. */
export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array;
  /** HTTP/2: does not say beforehand how long the body is. */
  readonly streamed?: boolean;
}

/** All that a client can see of an answer. */
export interface WireAnswer {
  /** Undefined: there was no answer, and `failure` says how that looked. */
  readonly status: number | undefined;
  /** Headers and trailers together, names in lower case, several values joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly failure?: string;
}

const TIMEOUT_MS = 30_000;

/** Sends a request over a connection of its own, by HTTP/1.1 in clear. */
export function sendHttp1(port: number, request: WireRequest): Promise<WireAnswer> {
  return new Promise((resolve) => {
    const { method, path, body } = request;
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
    );
    const length = body === undefined ? {} : { 'content-length': String(body.length) };
    const failed = (failure: string) => resolve({ status: undefined, headers: {}, body: Buffer.alloc(0), failure });
    const call = requestHttp1(
      { host: '127.0.0.1', port, method, path, headers: { ...headers, ...length }, agent: false },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', (error) => failed(`cut off: ${error.message}`));
        response.on('end', () =>
          resolve({
            status: response.statusCode,
            headers: { ...joined(response.headers), ...joined(response.trailers) },
            body: Buffer.concat(parts),
          }),
        );
      },
    );
    call.setTimeout(TIMEOUT_MS, () => call.destroy(new Error('no answer in time')));
    // A refusal may come before the body was sent whole; then the answer counts.
    call.on('error', (error) => failed(error.message));
    call.end(body);
  });
}

/** The same by HTTP/2 in clear, with prior knowledge. */
export function sendHttp2(port: number, request: WireRequest): Promise<WireAnswer> {
  return new Promise((resolve) => {
    const session = connect(`http://127.0.0.1:${port}`);
    let status: number | undefined;
    let headers: Record<string, string> = {};
    const parts: Buffer[] = [];
    const finish = (failure?: string) => {
      session.destroy();
      const answer = { status, headers, body: Buffer.concat(parts) };
      resolve(failure === undefined ? answer : { ...answer, failure });
    };
    session.on('error', (error) => finish(error.message));
    const length =
      request.body === undefined || request.streamed === true ? {} : { 'content-length': request.body.length };
    const outgoing = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
    );
    const stream = session.request({ ...outgoing, ...length, ':method': request.method, ':path': request.path });
    const take = (map: Readonly<Record<string, unknown>>) => {
      headers = { ...headers, ...joined(map) };
    };
    stream.setTimeout(TIMEOUT_MS, () => finish('no answer in time'));
    stream.on('response', (map) => {
      status = map[':status'];
      take(map);
    });
    stream.on('trailers', take);
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('error', () => undefined);
    // Envoy resets a stream whose request it did not read to the end (NO_ERROR); what it answered before counts.
    stream.on('close', () => finish(status === undefined ? `RST_STREAM(${stream.rstCode})` : undefined));
    stream.end(request.body);
  });
}

const joined = (map: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(map)
      .filter(([name, value]) => !name.startsWith(':') && value !== undefined)
      .map(([name, value]) => [name, String(value)]),
  );

const FRAME_HEAD_BYTES = 5;
const TRAILERS_FLAG = 0x80;

/** One message in the length-prefixed framing that gRPC and gRPC-Web share. */
function grpcFrame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The messages and, of gRPC-Web, the trailers in a body. */
export function readFrames(body: Buffer): { readonly messages: Buffer[]; readonly trailers: Record<string, string> } {
  const messages: Buffer[] = [];
  let trailers: Record<string, string> = {};
  for (let at = 0; at + FRAME_HEAD_BYTES <= body.length; ) {
    const [flags, length] = [body.readUInt8(at), body.readUInt32BE(at + 1)];
    const content = body.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + length);
    at += FRAME_HEAD_BYTES + length;
    if ((flags & TRAILERS_FLAG) === 0) messages.push(content);
    else trailers = { ...trailers, ...readTrailers(content.toString('latin1')) };
  }
  return { messages, trailers };
}

const readTrailers = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()]),
  );

/** A gRPC call by HTTP/2. */
export const sendGrpc = (port: number, request: WireRequest): Promise<WireAnswer> =>
  sendHttp2(port, {
    ...request,
    headers: { 'content-type': 'application/grpc', te: 'trailers', ...request.headers },
    streamed: true,
    body: grpcFrame(request.body ?? Buffer.alloc(0)),
  });

/** A gRPC-Web call by HTTP/1.1; the trailers of its body count as trailers. @param text base64, for old browsers */
export async function sendGrpcWeb(port: number, request: WireRequest, text = false): Promise<WireAnswer> {
  const frame = grpcFrame(request.body ?? Buffer.alloc(0));
  const type = text ? 'application/grpc-web-text' : 'application/grpc-web+proto';
  const answer = await sendHttp1(port, {
    ...request,
    headers: { 'content-type': type, accept: type, 'x-grpc-web': '1', ...request.headers },
    body: text ? Buffer.from(frame.toString('base64')) : frame,
  });
  const isFramed = (answer.headers['content-type'] ?? '').startsWith('application/grpc-web');
  if (!isFramed) return answer;
  const isText = (answer.headers['content-type'] ?? '').startsWith('application/grpc-web-text');
  // Each part of a text answer is padded on its own.
  const body = isText ? decodeParts(answer.body.toString('latin1')) : answer.body;
  return { ...answer, body, headers: { ...answer.headers, ...readFrames(body).trailers } };
}

const decodeParts = (text: string): Buffer =>
  Buffer.concat([...text.matchAll(/[^=]+=*/g)].map(([part]) => Buffer.from(part, 'base64')));
