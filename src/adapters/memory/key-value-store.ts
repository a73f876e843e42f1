import {
  type Change,
  type KeyValueStore,
  type StoredKey,
  type StoredRecord,
  StoreError,
  type Watch,
  type WatchOptions,
  type Write,
} from '#ports/key-value-store.ts';

interface Stored {
  readonly value: Uint8Array | undefined;
  readonly revision: number;
  readonly expiresAtMs: number;
}

/**
 * KeyValueStore in the memory of one process, for tests and tools: it passes the same contract suite as the NATS one.
 * Watchers are told in a microtask after the commit, as over a network: later than the caller, in order.
 */
export class MemoryKeyValueStore implements KeyValueStore {
  readonly #records = new Map<string, Stored>();
  readonly #watches = new Set<MemoryWatch>();
  readonly #nowMs: () => number;
  #revision = 0;
  #available = true;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** Simulates the storage going away and coming back. */
  setAvailable(available: boolean): void {
    this.#available = available;
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    this.#requireAvailable();
    const stored = this.#alive(key);
    return stored?.value === undefined ? undefined : { key, value: stored.value, revision: stored.revision };
  }

  async list(prefix: string, page: { readonly limit: number; readonly after?: string }): Promise<StoredRecord[]> {
    this.#requireAvailable();
    const found: StoredRecord[] = [];
    for (const key of [...this.#records.keys()].sort()) {
      if (!key.startsWith(prefix) || (page.after !== undefined && key <= page.after)) continue;
      const record = await this.get(key);
      if (record !== undefined && found.push(record) >= page.limit) break;
    }
    return found;
  }

  async keys(prefix: string): Promise<StoredKey[]> {
    this.#requireAvailable();
    const found: StoredKey[] = [];
    for (const [key, { value, revision }] of this.#records) {
      if (key.startsWith(prefix) && value !== undefined && this.#alive(key) !== undefined)
        found.push({ key, revision });
    }
    return found.sort((left, right) => (left.key < right.key ? -1 : 1));
  }

  async commit(writes: readonly Write[]): Promise<{ readonly revision: number }> {
    this.#requireAvailable();
    checkWrites(writes);
    for (const write of writes) {
      const actual = this.#alive(write.key)?.revision ?? 0;
      if (write.expect !== undefined && !this.#matches(write, actual)) {
        throw new StoreError('conflict', `${write.key} is at revision ${actual}, not ${write.expect}`);
      }
    }
    const changes = writes.map((write): Change => this.#apply(write));
    queueMicrotask(() => {
      for (const watch of this.#watches) watch.deliver(changes);
    });
    return { revision: this.#revision };
  }

  watch(options: WatchOptions): Watch {
    const load = () => {
      this.#watches.add(watch);
      const present = [...this.#records].flatMap(([key, stored]): Change[] =>
        stored.value === undefined || this.#alive(key) === undefined
          ? []
          : [{ key, revision: stored.revision, value: stored.value }],
      );
      watch.load(present, this.#revision);
    };
    const watch: MemoryWatch = new MemoryWatch(options, {
      remove: () => this.#watches.delete(watch),
      reload: () => queueMicrotask(load),
    });
    queueMicrotask(load);
    return watch;
  }

  /** A deleted key counts as absent for `expect: 0` and still has the revision of its deletion, as in NATS KV. */
  #matches(write: Write, actual: number): boolean {
    return write.expect === actual || (write.expect === 0 && this.#alive(write.key)?.value === undefined);
  }

  #apply(write: Write): Change {
    this.#revision += 1;
    const expiresAtMs =
      write.ttlSeconds === undefined ? Number.POSITIVE_INFINITY : this.#nowMs() + write.ttlSeconds * 1_000;
    this.#records.set(write.key, { value: write.value, revision: this.#revision, expiresAtMs });
    return { key: write.key, revision: this.#revision, ...(write.value === undefined ? {} : { value: write.value }) };
  }

  #alive(key: string): Stored | undefined {
    const stored = this.#records.get(key);
    return stored !== undefined && stored.expiresAtMs > this.#nowMs() ? stored : undefined;
  }

  #requireAvailable(): void {
    if (!this.#available) throw new StoreError('unavailable', 'the memory store is set unavailable');
  }
}

/** A new empty store. */
export const createMemoryKeyValueStore = (nowMs?: () => number): MemoryKeyValueStore => new MemoryKeyValueStore(nowMs);

function checkWrites(writes: readonly Write[]): void {
  if (writes.length === 0) throw new StoreError('invalid', 'a commit needs at least one write');
  const keys = new Set<string>();
  for (const { key } of writes) {
    if (!/^[-\w=/]+(\.[-\w=/]+)*$/.test(key)) throw new StoreError('invalid', `not a key: ${JSON.stringify(key)}`);
    if (keys.has(key)) throw new StoreError('invalid', `key twice in one commit: ${key}`);
    keys.add(key);
  }
}

class MemoryWatch implements Watch {
  readonly #options: WatchOptions;
  readonly #remove: () => void;
  readonly #reload: () => void;
  readonly #patterns: readonly RegExp[];
  #applied = 0;
  #synced = false;

  constructor(options: WatchOptions, hooks: { readonly remove: () => void; readonly reload: () => void }) {
    this.#options = options;
    this.#remove = hooks.remove;
    this.#reload = hooks.reload;
    this.#patterns = options.filters.map(
      (filter) => new RegExp(`^${filter.replaceAll('.', '\\.').replaceAll('*', '[^.]+').replace('>', '.+')}$`),
    );
  }

  load(present: readonly Change[], revision: number): void {
    this.#options.onReset();
    this.deliver(present);
    this.#applied = revision;
    this.#synced = true;
    this.#options.onSynced(revision);
  }

  /** A listener that throws gets everything anew, as over NATS. */
  deliver(changes: readonly Change[]): void {
    try {
      this.#deliver(changes);
    } catch {
      this.#reload();
    }
  }

  #deliver(changes: readonly Change[]): void {
    const matching = changes.filter((change) => this.#patterns.some((pattern) => pattern.test(change.key)));
    this.#applied = Math.max(this.#applied, ...matching.map((change) => change.revision));
    if (matching.length > 0) this.#options.onChanges(matching);
  }

  appliedRevision(): number {
    return this.#synced ? this.#applied : 0;
  }

  stalenessMs(): number {
    return this.#synced ? 0 : Number.POSITIVE_INFINITY;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#remove();
  }
}
