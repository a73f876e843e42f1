import { LIMITS } from '#domain/limits.ts';
import type { Head } from '#domain/routing/head.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import type { Log } from '#platform/log.ts';
import type { Change, KeyValueStore, Watch } from '#ports/key-value-store.ts';
import type { RoutingSource } from '#ports/routing.ts';
import { HEAD_KEY } from './keys.ts';
import { applyHead, loadRevision } from './revision-loader.ts';
import { headStateOf } from './revision-store.ts';

const RETRY_MIN_MS = 50;

export interface RevisionSourceOptions {
  readonly store: Pick<KeyValueStore, 'get' | 'watch'>;
  readonly log: Log;
  /** Told that `head` holds something that is no revision: see adoptInlineHead. The last good one stays meanwhile. */
  readonly onForeignHead?: () => void;
}

/** Why the newest head is not what this process routes by. */
export interface SourceProblem {
  /** 0 when the head names no revision. */
  readonly revision: number;
  readonly reason: string;
}

/**
 * RoutingSource over bucket ROUTING. Follows `head`; a head that carries its changes is applied at once from the one
 * message, any other by reading the parts that differ. States: idle (what `current` says is the newest known head) and
 * loading (the newest head is wanted; when a newer one arrives it is wanted instead). A head that cannot be loaded is
 * tried again for ever with growing pauses, while the last good revision stays.
 */
export class RevisionSource implements RoutingSource, AsyncDisposable {
  readonly #options: RevisionSourceOptions;
  readonly #watch: Watch;
  readonly #listeners = new Set<(snapshot: RoutingSnapshot) => void>();
  #current: RoutingSnapshot | undefined;
  #wanted: Head | undefined;
  #loading: Promise<void> | undefined;
  #problem: SourceProblem | undefined;
  #synced = false;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(options: RevisionSourceOptions) {
    this.#options = options;
    this.#watch = options.store.watch({
      filters: [HEAD_KEY],
      onReset: () => undefined,
      onChanges: (changes) => this.#receive(changes),
      onSynced: () => {
        this.#synced = true;
      },
    });
  }

  current(): RoutingSnapshot | undefined {
    return this.#current;
  }

  onRevision(listener: (snapshot: RoutingSnapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stalenessMs(): number {
    return this.#watch.stalenessMs();
  }

  /** Undefined when `current` is the newest revision as far as this process knows. */
  problem(): SourceProblem | undefined {
    return this.#problem;
  }

  /** Whether the store has told everything at least once and the head it told of is loaded (or there is none). */
  isComplete(): boolean {
    return this.#synced && this.#wanted === undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#watch[Symbol.asyncDispose]();
    await this.#loading;
    this.#listeners.clear();
  }

  #receive(changes: readonly Change[]): void {
    for (const { key, revision, value } of changes) {
      if (value === undefined) {
        this.#report(0, 'the head was deleted');
        continue;
      }
      const state = headStateOf({ key, revision, value });
      if (state.form === 'revision') this.#offer(state.head);
      else {
        this.#report(0, state.form === 'damaged' ? `the head ${state.reason}` : 'the head holds a table put by hand');
        this.#options.onForeignHead?.();
      }
    }
  }

  #offer(head: Head): void {
    const current = this.#current;
    if (current !== undefined && head.revision <= current.revision) {
      // A restored head after a refused table, a repeated message, or an older storage brought back.
      if (head.revision === current.revision && head.manifest === current.manifest) this.#problem = undefined;
      else this.#report(head.revision, `the head is not newer than revision ${current.revision}, which stays`);
      return;
    }
    if (this.#loading === undefined && current !== undefined) {
      const next = applyHead(current, head);
      if (next !== undefined) {
        this.#apply(next);
        return;
      }
    }
    if (this.#wanted !== undefined && head.revision <= this.#wanted.revision) return;
    this.#wanted = head;
    this.#wake();
    this.#startLoading();
  }

  /** A head that arrives after the loop saw nothing wanted, and before it is gone, starts it again. */
  #startLoading(): void {
    this.#loading ??= this.#loadWanted().finally(() => {
      this.#loading = undefined;
      if (this.#wanted !== undefined && !this.#stopped) this.#startLoading();
    });
  }

  /** Ends when nothing is wanted any more. */
  async #loadWanted(): Promise<void> {
    let failures = 0;
    for (let head = this.#wanted; head !== undefined && !this.#stopped; head = this.#wanted) {
      try {
        const base = this.#current;
        const next = (base && applyHead(base, head)) ?? (await loadRevision(this.#options.store, head, base));
        if (this.#wanted === head) this.#wanted = undefined;
        failures = 0;
        if (!this.#stopped) this.#apply(next);
      } catch (error) {
        failures += 1;
        this.#report(head.revision, error instanceof Error ? error.message : String(error));
        if (this.#wanted === head) await this.#pause(RETRY_MIN_MS * 2 ** Math.min(failures, 10));
      }
    }
  }

  #apply(next: RoutingSnapshot): void {
    if (next.revision <= (this.#current?.revision ?? 0)) return;
    this.#current = next;
    this.#problem = undefined;
    for (const listener of [...this.#listeners]) {
      try {
        listener(next);
      } catch (error) {
        this.#options.log.error({ err: error, revision: next.revision }, 'a listener of routing revisions failed');
      }
    }
  }

  /** Logs a problem when it is not the one reported last. */
  #report(revision: number, reason: string): void {
    if (this.#problem?.revision === revision && this.#problem.reason === reason) return;
    this.#problem = { revision, reason };
    this.#options.log.warn({ revision, reason, stays: this.#current?.revision ?? 0 }, 'routing head not applied');
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(milliseconds, LIMITS.routingLoadRetryMaxMs));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
