import { connect as connectInClear, type Socket } from 'node:net';
import { type PeerCertificate, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { connect as connectNats } from '@nats-io/transport-node';
import { makeAuthority, makeCertificate } from '#platform/certificates/make-certificate.ts';

/** What a client shows, PEM. Without a certificate it shows none. */
export interface Shown {
  readonly ca: string;
  readonly certificate?: string;
  readonly key?: string;
}

export type Target = { readonly host: string; readonly port: number } | { readonly path: string };

/** An HTTP/2 client's first bytes: preface and empty SETTINGS (RFC 9113 section 3.4). */
const HTTP2_START = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('000000040000000000', 'hex'),
]);
const HTTP1_START = Buffer.from('GET /health HTTP/1.1\r\nhost: internal\r\n\r\n');
const SILENCE_MAX_MS = 10_000;

/** A certificate that states the identity, of a CA that nobody knows; it trusts the CA that it is to be shown to. */
export async function foreign(identity: string, ca: string): Promise<Shown> {
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const authority = await makeAuthority({ ...validity, name: 'Foreign CA' });
  const names = [{ type: 'url', value: identity }] as const;
  const made = await makeCertificate(authority, { ...validity, subject: 'foreign', names, uses: ['server', 'client'] });
  return { ca, ...made };
}

/** Connects, over TLS unless nothing is shown, and speaks first. Whether the server answered anything before it closed. */
export async function isAnswered(
  target: Target,
  shown: Shown | undefined,
  protocol: 'h2' | 'http/1.1',
): Promise<boolean> {
  const socket = shown === undefined ? connectInClear(target) : openTls(target, shown, protocol);
  const answered = firstByte(socket);
  socket.write(protocol === 'h2' ? HTTP2_START : HTTP1_START);
  try {
    return await answered;
  } finally {
    socket.destroy();
  }
}

/** The certificate that the server shows now. */
export async function certificateOf(
  target: Target,
  shown: Shown,
  protocol: 'h2' | 'http/1.1',
): Promise<PeerCertificate> {
  const socket = openTls(target, shown, protocol);
  try {
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return socket.getPeerCertificate();
  } finally {
    socket.destroy();
  }
}

/** Connects as a client of NATS and disconnects. @returns undefined, or why that failed */
export async function natsRefusal(servers: string, shown: Shown | undefined): Promise<string | undefined> {
  const checkServerIdentity = () => undefined;
  const tls = shown && {
    handshakeFirst: true,
    ca: shown.ca,
    ...(shown.certificate === undefined ? {} : { cert: shown.certificate, key: shown.key ?? '' }),
    checkServerIdentity,
  };
  try {
    const nc = await connectNats({ servers, timeout: 5_000, reconnect: false, ...(tls === undefined ? {} : { tls }) });
    await nc.flush();
    await nc.close();
    return undefined;
  } catch (error) {
    return String(error);
  }
}

const openTls = (target: Target, { ca, certificate, key }: Shown, protocol: string): TLSSocket =>
  tlsConnect({
    ...target,
    ca,
    cert: certificate,
    key,
    ALPNProtocols: [protocol],
    // Identities are URIs; this client is no party to them.
    checkServerIdentity: () => undefined,
  });

const firstByte = (socket: Socket): Promise<boolean> =>
  new Promise((resolve, reject) => {
    socket.setTimeout(SILENCE_MAX_MS, () => reject(new Error('the server neither answered nor closed')));
    socket.once('data', () => resolve(true));
    socket.once('close', () => resolve(false));
    // A refusal is a reset or an alert.
    socket.on('error', () => resolve(false));
  });
