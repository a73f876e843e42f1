import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { ListenAddress } from '../env.ts';
import type { Log } from '../log.ts';
import type { InternalTls } from './internal-tls.ts';
import { strangerReason } from './peer-identity.ts';

/** A client inside answers at once; one that does not keeps a socket for no longer than this. */
const HANDSHAKE_TIMEOUT_MS = 5_000;
/** All of us can do it: Node, Envoy (with its maximum raised), nats-server. */
const MIN_VERSION = 'TLSv1.3';

/** TLS for a server inside. */
export interface ServerTls {
  readonly tls: InternalTls;
  /** Identities (URI SANs) of those who may connect. */
  readonly clients: readonly string[];
  /** Says who was refused, and why. */
  readonly log: Log;
}

export interface MutualTlsOptions extends ServerTls {
  readonly listen: ListenAddress;
  /** The protocols of the server behind, by their ALPN names. A client that offers none of them is refused. */
  readonly alpn: readonly ('h2' | 'http/1.1')[];
  /** Given each connection of a client that may connect. */
  readonly onConnection: (socket: TLSSocket) => void;
}

/** Listens. Disposing it ends the listening; connections are those of the server behind. */
export interface MutualTlsListener extends Disposable {
  /** Undefined at a Unix socket; with port 0 the one that was free. */
  readonly port: number | undefined;
}

/**
 * TLS in front of a server that speaks in clear: hands over connections of clients that proved to be who is expected, by a
 * certificate of the internal CA whose one URI SAN is among `clients`; refuses everybody else and says so in the log. The
 * identity is checked once for each connection, not for each request. A new certificate serves new connections.
 * @throws Error when it cannot listen
 */
export async function listenMutualTls(options: MutualTlsOptions): Promise<MutualTlsListener> {
  const { tls, listen, log } = options;
  const context = () => {
    const { ca, certificate, key } = tls.current();
    return { ca, cert: certificate, key, minVersion: MIN_VERSION } as const;
  };
  const server = createServer({
    ...context(),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: [...options.alpn],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    noDelay: true,
  });
  server.on('secureConnection', (socket) => admit(socket, options));
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    // Node sets the code there, whatever its types say.
    const reason = String(socket.authorizationError ?? error.code ?? error.message);
    const peer = peerOf(socket);
    // Somebody who only looks whether the port is open, as a health probe does.
    if (reason === 'ECONNRESET') log.debug({ peer }, 'connection ended before the TLS handshake');
    else log.warn({ peer, reason }, 'client refused: no TLS handshake with a certificate that is trusted');
  });
  const unsubscribe = tls.onChange(() => server.setSecureContext(context()));
  await startListening(server, listen);
  return {
    port: 'path' in listen ? undefined : portOf(server),
    [Symbol.dispose]() {
      unsubscribe();
      server.close();
    },
  };
}

/**
 * Hands a connection over, or ends it. The library has verified the chain, but a resumed session without a certificate
 * counts as verified for it: only the identity in the certificate admits anybody.
 */
function admit(socket: TLSSocket, { clients, onConnection, log }: MutualTlsOptions): void {
  // Until the server behind listens for it, and for the refused.
  socket.on('error', () => socket.destroy());
  const refusal = socket.authorized
    ? strangerReason(socket.getPeerCertificate().subjectaltname, clients)
    : 'its certificate is not trusted';
  if (refusal === undefined) {
    onConnection(socket);
    return;
  }
  log.warn({ peer: peerOf(socket), expected: clients }, `client refused: ${refusal}`);
  socket.destroy();
}

/** A socket that Node has closed already, because its certificate is not trusted, no longer knows. */
const peerOf = ({ remoteAddress, remotePort }: TLSSocket): string | undefined =>
  remoteAddress === undefined ? undefined : `${remoteAddress}:${remotePort}`;

const startListening = (server: Server, listen: ListenAddress): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = (): void => {
      server.removeListener('error', reject);
      resolve();
    };
    if ('path' in listen) server.listen(listen.path, listening);
    else server.listen(listen.port, listen.host, listening);
  });

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}
