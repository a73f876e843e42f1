import type { Log } from '#platform/log.ts';
import type { KeyValueStore, StoredKey, StoredRecord, Watch, WatchOptions, Write } from '#ports/key-value-store.ts';
import { StoreError } from '#ports/key-value-store.ts';
import { streamName, subjectPrefix } from './bucket.ts';
import { commitWrites } from './committer.ts';
import type { NatsLink } from './connection.ts';
import { Feed } from './feed.ts';
import { callApi, MESSAGE_NOT_FOUND, storeErrorOf } from './jetstream-api.ts';
import { NatsWatch } from './watch.ts';

/** Reads under way at once when a page of a list is fetched. */
const LIST_READS_MAX_COUNT = 64;

const REMOVAL = /^(KV-Operation:\s*(DEL|PURGE)|Nats-Marker-Reason:)/m;

/** KeyValueStore over one JetStream bucket. The bucket must exist: see ensureBucket. */
export class NatsKeyValueStore implements KeyValueStore {
  readonly #link: NatsLink;
  readonly #bucket: string;
  readonly #log: Log;

  constructor(link: NatsLink, bucket: string, log: Log) {
    this.#link = link;
    this.#bucket = bucket;
    this.#log = log;
  }

  /** Read from the stream's leader. */
  async get(key: string): Promise<StoredRecord | undefined> {
    const last = await this.#lastMessage(key);
    return last === undefined || last.removed ? undefined : { key, value: last.value, revision: last.revision };
  }

  async #lastMessage(key: string): Promise<LastMessage | undefined> {
    const found = await callApi(this.#link, `STREAM.MSG.GET.${streamName(this.#bucket)}`, {
      last_by_subj: `${subjectPrefix(this.#bucket)}${key}`,
    });
    if ('error' in found) {
      if (found.error.err_code === MESSAGE_NOT_FOUND) return undefined;
      throw storeErrorOf(found.error);
    }
    return parseLastMessage(key, found.answer['message']);
  }

  async list(prefix: string, page: { readonly limit: number; readonly after?: string }): Promise<StoredRecord[]> {
    const { limit, after } = page;
    const keys = (await this.keys(prefix)).filter(({ key }) => after === undefined || key > after);
    const records: StoredRecord[] = [];
    for (let at = 0; at < keys.length && records.length < limit; ) {
      const block = keys.slice(at, at + Math.min(LIST_READS_MAX_COUNT, limit - records.length));
      const read = await Promise.all(block.map(({ key }) => this.get(key)));
      records.push(...read.filter((record) => record !== undefined));
      at += block.length;
    }
    return records;
  }

  /** Read by a consumer that delivers headers alone, which the server does at some 100,000 a second. */
  async keys(prefix: string): Promise<StoredKey[]> {
    const found: StoredKey[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const feed = await Feed.open({
      link: this.#link,
      bucket: this.#bucket,
      filters: [`${prefix}>`],
      start: 'all',
      headersOnly: true,
      onIdle: resolve,
      onEntry: ({ key, revision, value, pending }) => {
        if (value !== undefined) found.push({ key, revision });
        if (pending === 0) resolve();
      },
    });
    if (feed.initialCount === 0) resolve();
    const broke = await Promise.race([promise, feed.ended]);
    feed.close('read');
    if (broke !== undefined) throw new StoreError('unavailable', `keys of ${prefix} were not read: ${broke}`);
    return found.sort((left, right) => (left.key < right.key ? -1 : 1));
  }

  /**
   * `expect: 0` means "no such record", while the server compares with the last message of the key, which may be the
   * marker of a deletion or an expiry: then the commit is tried again on condition of that very marker.
   */
  async commit(writes: readonly Write[]): Promise<{ readonly revision: number }> {
    try {
      return await commitWrites(this.#link, this.#bucket, writes);
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind !== 'conflict') throw error;
      const onMarkers = await this.#expectMarkers(writes);
      if (onMarkers === undefined) throw error;
      return commitWrites(this.#link, this.#bucket, onMarkers);
    }
  }

  watch(options: WatchOptions): Watch {
    return new NatsWatch(this.#link, this.#bucket, options, this.#log);
  }

  /** The writes with each `expect: 0` on a removed key turned into its marker's revision; undefined if there is none. */
  async #expectMarkers(writes: readonly Write[]): Promise<readonly Write[] | undefined> {
    let substituted = false;
    const result = await Promise.all(
      writes.map(async (write): Promise<Write> => {
        if (write.expect !== 0) return write;
        const last = await this.#lastMessage(write.key);
        if (last?.removed !== true) return write;
        substituted = true;
        return { ...write, expect: last.revision };
      }),
    );
    return substituted ? result : undefined;
  }
}

interface LastMessage {
  readonly revision: number;
  readonly value: Uint8Array;
  readonly removed: boolean;
}

/** A message as STREAM.MSG.GET returns it: headers and data in base64. */
function parseLastMessage(key: string, message: unknown): LastMessage {
  if (message === null || typeof message !== 'object' || !('seq' in message)) {
    throw new StoreError('invalid', `unreadable answer for ${key}`);
  }
  const headers = 'hdrs' in message ? Buffer.from(String(message.hdrs), 'base64').toString('latin1') : '';
  const value = 'data' in message ? Buffer.from(String(message.data), 'base64') : Buffer.alloc(0);
  return { revision: Number(message.seq), value, removed: REMOVAL.test(headers) };
}
