import type { Log } from '#platform/log.ts';
import { type KnownGood, knownGoodOf } from './known-good.ts';

/** Writes follow each other at this distance at least, however quickly revisions do. */
const DISTANCE_MS = 1_000;
/** Revisions in force that no Envoy has acknowledged yet; a stamp jumps over the oldest ones when there are more. */
const WAITING_MAX_COUNT = 1_000;

export interface KnownGoodKeeperOptions {
  /** Writes it whole or not at all. */
  readonly write: (content: KnownGood) => Promise<void>;
  readonly schedule: (delayMs: number, task: () => void) => void;
  readonly nowMs: () => number;
  readonly log: Log;
}

/**
 * Keeps the newest routing revision that an Envoy has acknowledged. Nothing waits for it: an acknowledgement notes what
 * is to be written, and a timer writes the newest noted. States: idle, scheduled, writing; what is noted while writing is
 * scheduled after it. A failed write is tried again, with what is newest then.
 */
export class KnownGoodKeeper implements AsyncDisposable {
  readonly #options: KnownGoodKeeperOptions;
  #waiting: KnownGood[] = [];
  #wanted: KnownGood | undefined;
  #keptRevision = 0;
  #problem: string | undefined;
  #earliestMs = 0;
  #isScheduled = false;
  #writing: Promise<void> | undefined;
  #stopped = false;

  constructor(options: KnownGoodKeeperOptions) {
    this.#options = options;
  }

  /** The revision on the disk, 0 for none. */
  get keptRevision(): number {
    return this.#keptRevision;
  }

  /** Why the last write failed; undefined when it did not. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** This revision was found on the disk. */
  found(revision: number): void {
    this.#keptRevision = revision;
  }

  /** A revision is offered to Envoys now. In order. */
  offered(snapshot: KnownGood): void {
    this.#waiting.push(knownGoodOf(snapshot));
    if (this.#waiting.length > WAITING_MAX_COUNT) this.#waiting.shift();
  }

  /**
   * An Envoy routes by this stamp. When no revision of that number was offered (the authz replicas held one that was
   * jumped over here), the one before it is kept: its clusters are among those the stamp was given with.
   */
  acknowledged(stamp: number): void {
    const newest = this.#waiting.findLast(({ revision }) => revision <= stamp);
    if (newest === undefined) return;
    this.#waiting = this.#waiting.filter(({ revision }) => revision > newest.revision);
    if (newest.revision <= this.#keptRevision) return;
    this.#wanted = newest;
    this.#writeLater();
  }

  /** Writes what is still to be written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#writing;
    await this.#write();
  }

  #writeLater(): void {
    if (this.#isScheduled || this.#writing !== undefined || this.#stopped) return;
    this.#isScheduled = true;
    this.#options.schedule(Math.max(0, this.#earliestMs - this.#options.nowMs()), () => {
      this.#isScheduled = false;
      if (this.#stopped) return;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#wanted !== undefined) this.#writeLater();
      });
    });
  }

  async #write(): Promise<void> {
    const content = this.#wanted;
    if (content === undefined) return;
    this.#wanted = undefined;
    this.#earliestMs = this.#options.nowMs() + DISTANCE_MS;
    try {
      await this.#options.write(content);
      this.#keptRevision = content.revision;
      this.#problem = undefined;
    } catch (error) {
      this.#wanted ??= content;
      const reason = error instanceof Error ? error.message : String(error);
      // Once, not every second.
      if (this.#problem !== reason) this.#options.log.error({ err: error }, 'the last known good routing is not kept');
      this.#problem = reason;
    }
  }
}
