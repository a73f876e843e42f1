import { connect as connectH2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { encodeJson } from '#platform/proto-registry.ts';
import { registry } from './stub-authz.ts';

const bytes = (value: Buffer): Buffer => value;

/** What a gRPC client hears: the status, and the metadata of headers and trailers together. */
export interface GrpcAnswer {
  readonly code: number;
  readonly details: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Calls a unary gRPC method of the edge in clear. */
export async function callGrpc(
  address: string,
  options: {
    readonly path?: string;
    readonly message?: Record<string, string>;
    readonly metadata?: Readonly<Record<string, string>>;
  } = {},
): Promise<GrpcAnswer> {
  const client = new Client(address, credentials.createInsecure());
  const metadata = new Metadata();
  for (const [name, value] of Object.entries({ 'x-tenant-id': 'acme', ...options.metadata })) metadata.set(name, value);
  const message = Buffer.from(encodeJson(registry, 'aggregate.gateway.v1.SubmitCommandRequest', options.message ?? {}));
  try {
    return await new Promise<GrpcAnswer>((resolve) => {
      const seen: Record<string, string> = {};
      const note = (map: Metadata): void => {
        for (const [name, value] of Object.entries(map.getMap())) seen[name] = String(value);
      };
      let answer: Pick<ServiceError, 'code' | 'details'> = { code: 0, details: '' };
      const call = client.makeUnaryRequest(
        options.path ?? COMMAND_GRPC_PATH,
        bytes,
        bytes,
        message,
        metadata,
        (error) => {
          if (error !== null) answer = error;
        },
      );
      call.on('metadata', note);
      call.on('status', (status) => {
        note(status.metadata);
        // After the callback, which comes in the same turn.
        setImmediate(() => resolve({ code: answer.code, details: answer.details, metadata: seen }));
      });
    });
  } finally {
    client.close();
  }
}

/** Sends bytes as they are over one TCP connection and returns the first answer, or what came before the end. */
export function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.setTimeout(5_000, () => socket.destroy(new Error(`no end of the answer: ${answer}`)));
    socket.on('data', (part) => {
      answer += part.toString('latin1');
      if (isWhole(answer)) socket.destroy();
    });
    // Envoy may reset a connection whose request it did not read to the end; what it answered counts.
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)));
    socket.on('close', () => resolve(answer));
  });
}

/** Whether as much of a body is there as the head announces. */
function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n');
  const length = /^content-length: (\d+)$/im.exec(answer.slice(0, end))?.[1];
  return end >= 0 && length !== undefined && answer.length >= end + 4 + Number(length);
}

/** What a TLS client learns of the edge by connecting. */
export function greetTls(
  port: number,
  options: { readonly ca: string; readonly alpn?: readonly string[]; readonly maxVersion?: 'TLSv1.1' | 'TLSv1.2' },
): Promise<{ readonly alpn: string | false | null; readonly protocol: string | null; readonly peer: PeerCertificate }> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: options.ca,
      ...(options.alpn === undefined ? {} : { ALPNProtocols: [...options.alpn] }),
      ...(options.maxVersion === undefined ? {} : { minVersion: 'TLSv1', maxVersion: options.maxVersion }),
    });
    socket.on('secureConnect', () => {
      resolve({ alpn: socket.alpnProtocol, protocol: socket.getProtocol(), peer: socket.getPeerCertificate() });
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** GET over HTTP/2 on TLS; the status. */
export function getH2(port: number, path: string, ca: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectH2(`https://localhost:${port}`, { ca, host: '127.0.0.1' });
    session.on('error', reject);
    const stream = session.request({ ':path': path });
    stream.on('error', reject);
    stream.on('response', (headers) => {
      resolve(Number(headers[':status']));
      session.destroy();
    });
  });
}
