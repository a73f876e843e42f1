import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';

/** https://nodejs.org/api/diagnostics_channel.html#event-netserversocket: told of each connection that is accepted. */
const CHANNEL = 'net.server.socket';

/** Connections to one address of this process that are open now. */
export interface OpenConnections extends Disposable {
  count(): number;
}

/**
 * Counts the connections to an address from now on, for a server that does not tell of them itself (grpc-js).
 * @param port the TCP port; undefined: the one Unix socket of this process
 * @param onClosed is told which peer has gone: `address:port`, as grpc-js names peers
 */
export function countConnections(port: number | undefined, onClosed: (peer: string) => void): OpenConnections {
  const open = new Set<Socket>();
  const onMessage = (message: unknown): void => {
    const socket = typeof message === 'object' && message !== null ? Reflect.get(message, 'socket') : undefined;
    if (!(socket instanceof Socket) || socket.localPort !== port) return;
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    open.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      onClosed(peer);
    });
  };
  subscribe(CHANNEL, onMessage);
  return {
    count: () => open.size,
    [Symbol.dispose]: () => void unsubscribe(CHANNEL, onMessage),
  };
}
