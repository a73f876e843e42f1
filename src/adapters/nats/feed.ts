import { createInbox, type Msg, nuid, type Subscription } from '@nats-io/transport-node';
import { StoreError } from '#ports/key-value-store.ts';
import { streamName, subjectPrefix } from './bucket.ts';
import type { NatsLink } from './connection.ts';
import { type Entry, parseEntry } from './entry.ts';
import { callApi, storeErrorOf } from './jetstream-api.ts';

const HEARTBEAT_MS = 1_000;
/** Silence of this many heartbeats means that the consumer or the way to it is gone. */
const SILENCE_HEARTBEATS = 2.5;
/** The server removes the consumer of a vanished process after this time. */
const INACTIVE_THRESHOLD_NS = 10_000_000_000;

export interface FeedOptions {
  readonly link: NatsLink;
  readonly bucket: string;
  readonly filters: readonly string[];
  /** All keys as they are now and then changes, or only what comes after a stream sequence. */
  readonly start: 'all' | { readonly after: number };
  /** Deliver keys and revisions without values. */
  readonly headersOnly?: boolean;
  /**
   * The server had nothing to deliver for a heartbeat's time. Ends a load whose last message was replaced while it was
   * on its way: then no message ever says that none is pending.
   */
  readonly onIdle?: () => void;
  /** Must not throw: an exception in a subscription callback ends the read loop of the whole connection. */
  readonly onEntry: (entry: Entry) => void;
}

/**
 * One ephemeral push consumer of ours over a bucket, in order and without gaps until it `ended`.
 * It notices a lost tail by the heartbeats' `Nats-Last-Consumer`, a gap by the delivery sequence, a dead consumer by
 * silence; whoever holds it then opens the next one. A feed never repairs itself, so nothing of it leaks into the next.
 */
export class Feed {
  readonly ended: Promise<string>;
  /** When the server last proved that nothing is missing, milliseconds since the epoch. */
  heardAtMs = Date.now();
  /** Messages that matched when the consumer was made: 0 means that there is nothing to load. */
  readonly initialCount: number;
  readonly #link: NatsLink;
  readonly #bucket: string;
  readonly #consumer: string;
  readonly #subscription: Subscription;
  readonly #timer: NodeJS.Timeout;
  readonly #onEntry: (entry: Entry) => void;
  readonly #onIdle: () => void;
  readonly #end: (reason: string) => void;
  #delivered = 0;
  #open = true;

  private constructor(options: FeedOptions, consumer: string, subscription: Subscription, initialCount: number) {
    this.#link = options.link;
    this.#bucket = options.bucket;
    this.#consumer = consumer;
    this.#subscription = subscription;
    this.#onEntry = options.onEntry;
    this.#onIdle = options.onIdle ?? (() => undefined);
    this.initialCount = initialCount;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise;
    this.#end = resolve;
    this.#timer = setInterval(() => {
      if (Date.now() - this.heardAtMs > SILENCE_HEARTBEATS * HEARTBEAT_MS) this.close('silent');
    }, HEARTBEAT_MS / 2);
  }

  /** @throws StoreError when the consumer cannot be made; nothing of it is left behind then */
  static async open(options: FeedOptions): Promise<Feed> {
    const { link } = options;
    const consumer = `w_${nuid.next()}`;
    const inbox = createInbox();
    const early: Msg[] = [];
    let feed: Feed | undefined;
    const subscription = link.nc.subscribe(inbox, {
      callback: (error, message) => {
        if (error !== null) return;
        if (feed === undefined) early.push(message);
        else feed.#receive(message);
      },
    });
    try {
      const pending = await createConsumer(options, consumer, inbox);
      feed = new Feed(options, consumer, subscription, pending);
    } catch (error) {
      subscription.unsubscribe();
      void dropConsumer(link, options.bucket, consumer);
      throw error;
    }
    for (const message of early) feed.#receive(message);
    return feed;
  }

  /** Ends the feed and removes its consumer; idempotent. */
  close(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#timer);
    this.#subscription.unsubscribe();
    this.#end(reason);
    void dropConsumer(this.#link, this.#bucket, this.#consumer);
  }

  #receive(message: Msg): void {
    if (!this.#open) return;
    this.heardAtMs = Date.now();
    const status = message.headers?.code ?? 0;
    if (status !== 0) {
      this.#receiveStatus(message, status);
      return;
    }
    const entry = parseEntry(message, subjectPrefix(this.#bucket).length);
    if (entry.deliverySequence !== this.#delivered + 1) {
      this.close('gap in the delivery sequence');
      return;
    }
    this.#delivered += 1;
    this.#onEntry(entry);
  }

  /** Status 100 is a heartbeat or a flow control request (which wants an answer); anything else ends the consumer. */
  #receiveStatus(message: Msg, status: number): void {
    if (status !== 100) {
      this.close(`consumer ended: ${status} ${message.headers?.description ?? ''}`);
      return;
    }
    if (message.reply) {
      message.respond();
      return;
    }
    const stalled = message.headers?.get('Nats-Consumer-Stalled') ?? '';
    if (stalled !== '') this.#link.nc.publish(stalled);
    if (Number(message.headers?.get('Nats-Last-Consumer') ?? 0) > this.#delivered) this.close('tail lost');
    else this.#onIdle();
  }
}

async function createConsumer(options: FeedOptions, name: string, inbox: string): Promise<number> {
  const stream = streamName(options.bucket);
  const subjects = options.filters.map((filter) => `${subjectPrefix(options.bucket)}${filter}`);
  const [only] = subjects;
  const single = subjects.length === 1 && only !== undefined;
  const config = {
    name,
    deliver_subject: inbox,
    ack_policy: 'none',
    replay_policy: 'instant',
    max_deliver: 1,
    mem_storage: true,
    num_replicas: 1,
    flow_control: true,
    idle_heartbeat: HEARTBEAT_MS * 1_000_000,
    inactive_threshold: INACTIVE_THRESHOLD_NS,
    ...(options.headersOnly === true ? { headers_only: true } : {}),
    ...(single ? { filter_subject: only } : { filter_subjects: subjects }),
    ...(options.start === 'all'
      ? { deliver_policy: 'last_per_subject' }
      : { deliver_policy: 'by_start_sequence', opt_start_seq: options.start.after + 1 }),
  };
  const api = `CONSUMER.CREATE.${stream}.${name}${single ? `.${only}` : ''}`;
  const created = await callApi(options.link, api, { stream_name: stream, config, action: 'create' });
  if ('error' in created) throw storeErrorOf(created.error);
  const pending = Number(created.answer['num_pending'] ?? 0);
  const delivered = created.answer['delivered'];
  const already =
    delivered !== null && typeof delivered === 'object' && 'consumer_seq' in delivered
      ? Number(delivered.consumer_seq)
      : 0;
  return pending + already;
}

/** Best effort: the server removes an abandoned consumer by itself. */
async function dropConsumer(link: NatsLink, bucket: string, consumer: string): Promise<void> {
  try {
    await callApi(link, `CONSUMER.DELETE.${streamName(bucket)}.${consumer}`);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
  }
}
