import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '#domain/limits.ts';
import type { Log } from '#platform/log.ts';
import type { Clock } from '#ports/clock.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import type { QuarantinedShard } from '#ports/replica-board.ts';
import { QUARANTINE_STATUS_KEY } from './keys.ts';

const RETRY_MS = 1_000;

export interface QuarantineStatusOptions {
  readonly store: Pick<KeyValueStore, 'get' | 'commit'>;
  readonly replica: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Keeps `status.quarantine` at what this xds replica keeps back: readable with any NATS client. Written on change, one
 * write at a time with the newest list, again while the storage does not answer. Of several replicas the last one to
 * change something is the one to read; a replica that begins with nothing clears only a record of its own.
 */
export class QuarantineStatus implements AsyncDisposable {
  readonly #options: QuarantineStatusOptions;
  readonly #ending = new AbortController();
  #wanted: readonly QuarantinedShard[] | undefined;
  /** Whether the record is known to be this replica's, and what it says. */
  #written: string | undefined;
  #running: Promise<void> | undefined;

  constructor(options: QuarantineStatusOptions) {
    this.#options = options;
  }

  /** Returns at once. */
  request(quarantined: readonly QuarantinedShard[]): void {
    this.#wanted = quarantined;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#wanted !== undefined && !this.#ending.signal.aborted) this.request(this.#wanted);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let isReported = false;
    while (this.#wanted !== undefined && !this.#ending.signal.aborted) {
      const quarantined = this.#wanted;
      this.#wanted = undefined;
      try {
        await this.#write(quarantined);
      } catch (error) {
        this.#wanted ??= quarantined;
        if (!isReported) this.#options.log.warn({ err: error }, 'status.quarantine is not written yet');
        isReported = true;
        await sleep(RETRY_MS, undefined, { signal: this.#ending.signal }).catch(() => undefined);
      }
    }
  }

  async #write(quarantined: readonly QuarantinedShard[]): Promise<void> {
    const { store, replica, clock } = this.#options;
    const shown = JSON.stringify(quarantined.slice(-LIMITS.quarantinedStoredMaxCount).map(storedShard));
    if (shown === this.#written) return;
    if (this.#written === undefined && quarantined.length === 0 && !(await this.#isOwn())) {
      this.#written = shown;
      return;
    }
    const at = new Date(clock.nowMs()).toISOString();
    const record = { schema: 1, replica, at, count: quarantined.length, quarantined: JSON.parse(shown) };
    await store.commit([{ key: QUARANTINE_STATUS_KEY, value: Buffer.from(JSON.stringify(record)) }]);
    this.#written = shown;
  }

  /** Whether this replica, before a restart, wrote the record that is there. */
  async #isOwn(): Promise<boolean> {
    const found = await this.#options.store.get(QUARANTINE_STATUS_KEY);
    if (found === undefined) return false;
    try {
      const record: unknown = JSON.parse(Buffer.from(found.value).toString('utf8'));
      return (
        typeof record === 'object' && record !== null && 'replica' in record && record.replica === this.#options.replica
      );
    } catch {
      return true;
    }
  }
}

const storedShard = ({ kind, shard, sinceRevision, pointer, error, at, serving, node }: QuarantinedShard) => ({
  ...{ kind, shard, since_revision: sinceRevision, pointer, error, at, serving },
  ...(node === undefined ? {} : { node }),
});
