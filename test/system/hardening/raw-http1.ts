import { connect } from 'node:net';

/** What came back over one connection until it was closed, or was silent for a while. */
export interface RawAnswer {
  readonly text: string;
  /** Status codes of the responses in it, in order. */
  readonly statuses: readonly number[];
  readonly isClosed: boolean;
}

const SILENCE_MS = 700;

/** Sends bytes as they are over a connection of their own. */
export function sendRaw(http: string, bytes: string): Promise<RawAnswer> {
  const { hostname, port } = new URL(http);
  const { promise, resolve } = Promise.withResolvers<RawAnswer>();
  const chunks: Buffer[] = [];
  const socket = connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
  const finish = (isClosed: boolean) => {
    socket.destroy();
    const text = Buffer.concat(chunks).toString('latin1');
    const statuses = [...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => Number(status));
    resolve({ text, statuses, isClosed });
  };
  socket.setTimeout(SILENCE_MS, () => finish(false));
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  socket.on('error', () => finish(true));
  socket.on('close', () => finish(true));
  return promise;
}
