import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerCertificate } from 'node:tls';
import { connect, type NatsConnection, type TlsOptions } from '@nats-io/transport-node';
import type { InternalTls } from '#platform/internal-tls/internal-tls.ts';
import { strangerReason } from '#platform/internal-tls/peer-identity.ts';
import type { Log } from '#platform/log.ts';
import { StoreError } from '#ports/key-value-store.ts';

/** Pings that find a dead server in about 3 s; the library's defaults need over 40 s. */
const PING_INTERVAL_MS = 1_000;
const PINGS_OUT_MAX_COUNT = 2;
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 250;
/** A server that accepts a connection and then says nothing is given up after this time. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Failed first attempts are logged once for so many. */
const LOG_EVERY_ATTEMPTS = 20;

/** One connection of a process to NATS: connects and reconnects for ever, and knows whether it is connected now. */
export interface NatsLink extends AsyncDisposable {
  /** @throws StoreError `unavailable` before the first connection */
  readonly nc: NatsConnection;
  /** False while the connection is being (re-)established: what is sent then would be delayed, not refused. */
  isConnected(): boolean;
  /** Calls back each time the connection was made, and at once when it stands. @returns a function that ends it */
  onConnected(listener: () => void): () => void;
}

export interface NatsLinkOptions {
  /** Several servers are separated by commas. */
  readonly url: string;
  /** Shown in the server's connection list. */
  readonly name: string;
  /** Our certificate, and the identity that the server must have; absent: in clear. */
  readonly tls?: { readonly own: InternalTls; readonly server: string } | undefined;
  readonly log: Log;
}

/** A link that is usable at once, though NATS may be away: a program must neither wait for it nor end because of it. */
export const openNats = (options: NatsLinkOptions): NatsLink => new ReconnectingLink(options);

/** A link that has been connected: waits as long as it takes. */
export async function connectNats(options: NatsLinkOptions): Promise<NatsLink> {
  const link = openNats(options);
  await new Promise<void>((resolve) => {
    link.onConnected(resolve);
  });
  return link;
}

class ReconnectingLink implements NatsLink {
  readonly #options: NatsLinkOptions;
  readonly #listeners = new Set<() => void>();
  readonly #ending = new AbortController();
  readonly #connecting: Promise<void>;
  #nc: NatsConnection | undefined;
  #connected = false;

  constructor(options: NatsLinkOptions) {
    this.#options = options;
    this.#connecting = this.#connectFirst();
  }

  get nc(): NatsConnection {
    if (this.#nc === undefined) throw notConnected();
    return this.#nc;
  }

  isConnected(): boolean {
    return this.#connected && this.#nc?.isClosed() === false;
  }

  onConnected(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.isConnected()) listener();
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#listeners.clear();
    // An attempt under way ends at its time limit, and what it connects is closed then: nobody waits for that.
    if (this.#nc === undefined) return;
    await this.#connecting;
    await this.#nc.close();
  }

  /** The client library's own waiting for a first connection cannot be broken off. */
  async #connectFirst(): Promise<void> {
    const { signal } = this.#ending;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const nc = await this.#connect();
        if (signal.aborted) await nc.close();
        else this.#use(nc);
        return;
      } catch (error) {
        if (attempt % LOG_EVERY_ATTEMPTS === 0) this.#options.log.warn({ err: error }, 'NATS is not reached yet');
        await sleep(RECONNECT_WAIT_MS + Math.random() * RECONNECT_JITTER_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  #connect(): Promise<NatsConnection> {
    return connect({
      servers: this.#options.url.split(','),
      name: this.#options.name,
      timeout: CONNECT_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_JITTER_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: PINGS_OUT_MAX_COUNT,
      ignoreAuthErrorAbort: true,
      ...(this.#options.tls === undefined ? {} : { tls: clientTls(this.#options.tls) }),
    });
  }

  #use(nc: NatsConnection): void {
    this.#nc = nc;
    this.#tellConnected();
    void this.#follow(nc);
  }

  async #follow(nc: NatsConnection): Promise<void> {
    for await (const status of nc.status()) {
      if (status.type !== 'disconnect' && status.type !== 'reconnect') continue;
      this.#options.log.warn({ status: status.type, server: status.server }, 'NATS connection');
      if (status.type === 'disconnect') this.#connected = false;
      else this.#tellConnected();
    }
    this.#connected = false;
  }

  #tellConnected(): void {
    this.#connected = true;
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        this.#options.log.error({ err: error }, 'a listener of the NATS connection failed');
      }
    }
  }
}

/**
 * TLS from the first byte. The library hands these options to Node's tls.connect at every attempt and reads each member
 * again then, so that a new certificate serves the next connection. Host names are not looked at: a server may have any
 * address, its identity is the URI SAN of its certificate.
 */
function clientTls({ own, server }: NonNullable<NatsLinkOptions['tls']>): TlsOptions {
  const options = {
    handshakeFirst: true,
    minVersion: 'TLSv1.3',
    get ca() {
      return own.current().ca;
    },
    get cert() {
      return own.current().certificate;
    },
    get key() {
      return own.current().key;
    },
    checkServerIdentity: (_: string, { subjectaltname }: PeerCertificate): Error | undefined => {
      const reason = strangerReason(subjectaltname, [server]);
      return reason === undefined ? undefined : new Error(`NATS server refused: ${reason}, not of ${server}`);
    },
  };
  return options;
}

const notConnected = (): StoreError => new StoreError('unavailable', 'not connected to NATS');

/** @throws StoreError `unavailable` at once while disconnected, so that nothing is queued and sent much later. */
export function requireConnected(link: NatsLink): void {
  if (!link.isConnected()) throw notConnected();
}
