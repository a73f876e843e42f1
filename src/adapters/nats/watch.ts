import type { Log } from '#platform/log.ts';
import { type Change, StoreError, type Watch, type WatchOptions } from '#ports/key-value-store.ts';
import { streamName } from './bucket.ts';
import type { NatsLink } from './connection.ts';
import type { Entry } from './entry.ts';
import { Feed } from './feed.ts';
import { callApi, storeErrorOf } from './jetstream-api.ts';

/** After a longer absence the state is loaded anew instead of caught up: delete markers may have expired. */
const RESUME_MAX_ABSENCE_MS = 600_000;
const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 2_000;
/** Entries handed over together while loading. */
const LOAD_BLOCK_COUNT = 1_000;
/** How long a batch whose end is not among our keys may wait for more of it. */
const BATCH_TAIL_MS = 5;
const LISTENER_FAILED = 'listener failed';

const backoffMs = (failures: number): number => Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 10));

/**
 * Keeps a listener at the newest state of some keys of a bucket, over any number of feeds: loads, follows, and after a
 * break resumes where it was, or loads anew when the stream is not the one it knew (restored, recreated, too far away).
 */
export class NatsWatch implements Watch {
  readonly #link: NatsLink;
  readonly #bucket: string;
  readonly #options: WatchOptions;
  readonly #log: Log;
  #feed: Feed | undefined;
  #applied = 0;
  #heardAtMs = 0;
  #synced = false;
  #streamCreated = '';
  #held: Change[] = [];
  #heldBatch: string | undefined;
  #flushTimer: NodeJS.Timeout | undefined;
  #stopped = false;
  readonly #running: Promise<void>;
  #wake: (() => void) | undefined;

  constructor(link: NatsLink, bucket: string, options: WatchOptions, log: Log) {
    this.#link = link;
    this.#bucket = bucket;
    this.#options = options;
    this.#log = log;
    this.#running = this.#run();
  }

  appliedRevision(): number {
    return this.#synced ? this.#applied : 0;
  }

  stalenessMs(): number {
    const heardAtMs = this.#feed?.heardAtMs ?? this.#heardAtMs;
    return heardAtMs === 0 || this.#applied === 0 ? Number.POSITIVE_INFINITY : Date.now() - heardAtMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#flushTimer);
    this.#feed?.close('disposed');
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopped) {
      try {
        const feed = await this.#open();
        const reason = await feed.ended;
        this.#heardAtMs = feed.heardAtMs;
        this.#feed = undefined;
        if (this.#stopped) break;
        this.#log.warn({ bucket: this.#bucket, reason, revision: this.#applied }, 'watch broke');
        failures = reason === LISTENER_FAILED ? failures + 1 : 0;
        if (failures > 0) await this.#pause(backoffMs(failures));
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        if (failures % 20 === 0) this.#log.warn({ bucket: this.#bucket, reason: error.message }, 'cannot watch');
        failures += 1;
        await this.#pause(backoffMs(failures));
      }
    }
  }

  async #open(): Promise<Feed> {
    const info = await callApi(this.#link, `STREAM.INFO.${streamName(this.#bucket)}`);
    if ('error' in info) throw storeErrorOf(info.error);
    const created = String(info.answer['created']);
    const lastSequence = lastSequenceOf(info.answer['state']);
    const known = this.#synced && created === this.#streamCreated && lastSequence >= this.#applied;
    const resume = known && Date.now() - this.#heardAtMs <= RESUME_MAX_ABSENCE_MS;
    this.#streamCreated = created;
    clearTimeout(this.#flushTimer);
    this.#held = [];
    this.#heldBatch = undefined;
    if (!resume) {
      this.#synced = false;
      this.#contained(this.#options.onReset);
    }
    const feed = await Feed.open({
      link: this.#link,
      bucket: this.#bucket,
      filters: this.#options.filters,
      start: resume ? { after: this.#applied } : 'all',
      onEntry: (entry) => this.#receive(entry, lastSequence),
      onIdle: () => {
        if (this.#synced) return;
        this.#flush();
        this.#finishLoad(lastSequence);
      },
    });
    this.#feed = feed;
    if (this.#stopped) feed.close('disposed');
    if (!this.#synced && feed.initialCount === 0) this.#finishLoad(lastSequence);
    return feed;
  }

  /**
   * While loading: blocks. Live: the messages of one atomic batch together. Its commit message may not match our
   * filters, so a batch also ends where another message follows, or where nothing more is pending for a moment: the
   * server makes the messages of a batch known one by one.
   */
  #receive(entry: Entry, loadedThrough: number): void {
    if (entry.batch?.id !== this.#heldBatch && this.#synced) this.#flush();
    this.#heldBatch = entry.batch?.id;
    this.#held.push({
      key: entry.key,
      revision: entry.revision,
      ...(entry.value === undefined ? {} : { value: entry.value }),
    });
    if (this.#synced) {
      if (entry.batch === undefined || entry.batch.isCommit) this.#flush();
      else if (entry.pending === 0) this.#flushSoon();
    } else if (entry.pending === 0) {
      this.#flush();
      this.#finishLoad(loadedThrough);
    } else if (this.#held.length >= LOAD_BLOCK_COUNT) {
      this.#flush();
    }
  }

  #finishLoad(loadedThrough: number): void {
    this.#applied = Math.max(this.#applied, loadedThrough);
    this.#synced = true;
    this.#contained(() => this.#options.onSynced(this.#applied));
  }

  #flushSoon(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = setTimeout(() => this.#flush(), BATCH_TAIL_MS);
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    if (this.#held.length === 0) return;
    const changes = this.#held;
    // Only what has been handed over counts: after a break the watch goes on from here.
    this.#applied = Math.max(this.#applied, changes.at(-1)?.revision ?? 0);
    this.#held = [];
    this.#heldBatch = undefined;
    this.#contained(() => this.#options.onChanges(changes));
  }

  /**
   * A listener's exception must not end the connection's read loop, and what it missed must not stay missing: it is
   * logged, and everything is loaded anew.
   */
  #contained(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#log.error({ err: error, bucket: this.#bucket, revision: this.#applied }, 'watch listener failed');
      this.#synced = false;
      this.#feed?.close(LISTENER_FAILED);
    }
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds * (0.5 + Math.random()));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function lastSequenceOf(state: unknown): number {
  return state !== null && typeof state === 'object' && 'last_seq' in state ? Number(state.last_seq) : 0;
}
