import { type Server, ServerCredentials } from '@grpc/grpc-js';
import type { ListenAddress } from '../env.ts';
import { listenMutualTls, type ServerTls } from './listen-mutual-tls.ts';

/** Where a gRPC server listens. */
export interface GrpcListener {
  /** Undefined at a Unix socket; with port 0 the one that was free. */
  readonly port: number | undefined;
  /** Takes no new connections from now on; those that are there end with the server. */
  stopListening(): void;
}

/**
 * Opens a gRPC server's listener, in clear or behind mutual TLS. grpc-js would show us the client's certificate at each
 * call only, and parse it each time; connections that are checked once are put into it instead.
 * @throws Error when it cannot listen
 */
export async function listenGrpc(
  server: Server,
  { listen, tls }: { readonly listen: ListenAddress; readonly tls: ServerTls | undefined },
): Promise<GrpcListener> {
  if (tls === undefined) {
    const port = await bindInClear(server, 'path' in listen ? `unix:${listen.path}` : hostAndPort(listen));
    // Ended by the server itself.
    return { port: 'path' in listen ? undefined : port, stopListening: () => undefined };
  }
  const connections = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = await listenMutualTls({
    ...tls,
    listen,
    alpn: ['h2'],
    onConnection: (socket) => connections.injectConnection(socket),
  });
  return { port: listener.port, stopListening: () => listener[Symbol.dispose]() };
}

/** `host:port` as clients write it. */
export const hostAndPort = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

const bindInClear = (server: Server, address: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
