import type { KeyValueStore, StoredKey, StoredRecord, Watch, WatchOptions, Write } from '#ports/key-value-store.ts';

/** What a FaultyStore does instead of, before or after a call of the real store. */
export interface Faults {
  get?: (key: string, real: () => Promise<StoredRecord | undefined>) => Promise<StoredRecord | undefined>;
  keys?: (prefix: string, real: () => Promise<readonly StoredKey[]>) => Promise<readonly StoredKey[]>;
  commit?: (writes: readonly Write[], real: () => Promise<{ revision: number }>) => Promise<{ revision: number }>;
}

/** A real store whose calls a test can delay, fail, or carry out and then lose the answer of; it counts reads. */
export class FaultyStore implements KeyValueStore {
  readonly #store: KeyValueStore;
  readonly faults: Faults = {};
  readonly reads: string[] = [];
  readonly writes: string[] = [];

  constructor(store: KeyValueStore) {
    this.#store = store;
  }

  get(key: string): Promise<StoredRecord | undefined> {
    this.reads.push(key);
    const real = () => this.#store.get(key);
    return this.faults.get === undefined ? real() : this.faults.get(key, real);
  }

  list(prefix: string, page: { readonly limit: number; readonly after?: string }): Promise<readonly StoredRecord[]> {
    return this.#store.list(prefix, page);
  }

  keys(prefix: string): Promise<readonly StoredKey[]> {
    const real = () => this.#store.keys(prefix);
    return this.faults.keys === undefined ? real() : this.faults.keys(prefix, real);
  }

  commit(writes: readonly Write[]): Promise<{ revision: number }> {
    this.writes.push(...writes.map(({ key }) => key));
    const real = () => this.#store.commit(writes);
    return this.faults.commit === undefined ? real() : this.faults.commit(writes, real);
  }

  watch(options: WatchOptions): Watch {
    return this.#store.watch(options);
  }
}
