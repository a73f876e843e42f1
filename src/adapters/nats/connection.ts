import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { Log } from '#platform/log.ts';
import { StoreError } from '#ports/key-value-store.ts';

/** Pings that find a dead server in about 3 s; the library's defaults need over 40 s. */
const PING_INTERVAL_MS = 1_000;
const PINGS_OUT_MAX_COUNT = 2;
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 250;

/** One connection of a process to NATS: reconnects for ever, and knows whether it is connected now. */
export interface NatsLink extends AsyncDisposable {
  readonly nc: NatsConnection;
  /** False while the connection is being re-established: what is sent then would be delayed, not refused. */
  isConnected(): boolean;
}

/**
 * Connects, waiting as long as it takes: a program must not end because NATS is away.
 * @param name shown in the server's connection list
 */
export async function connectNats(options: {
  readonly url: string;
  readonly name: string;
  readonly log: Log;
}): Promise<NatsLink> {
  const nc = await connect({
    servers: options.url.split(','),
    name: options.name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    waitOnFirstConnect: true,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: PINGS_OUT_MAX_COUNT,
    ignoreAuthErrorAbort: true,
  });
  let connected = true;
  void (async () => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') connected = false;
      if (status.type === 'reconnect') connected = true;
      if (status.type === 'disconnect' || status.type === 'reconnect') {
        options.log.warn({ status: status.type, server: status.server }, 'NATS connection');
      }
    }
    connected = false;
  })();
  return {
    nc,
    isConnected: () => connected && !nc.isClosed(),
    [Symbol.asyncDispose]: () => nc.close(),
  };
}

/** @throws StoreError `unavailable` at once while disconnected, so that nothing is queued and sent much later. */
export function requireConnected(link: NatsLink): void {
  if (!link.isConnected()) throw new StoreError('unavailable', 'not connected to NATS');
}
