/**
 * The storage the product stands on: keys with revisions, compare-and-set commits of several keys at once, and a
 * watch that knows its own staleness. Decisions at rest are made by `commit`, never by a read (reads may be stale).
 */
export interface KeyValueStore {
  /** The newest record of a key, or undefined when there is none. @throws StoreError `unavailable` */
  get(key: string): Promise<StoredRecord | undefined>;

  /** Records whose key begins with `prefix` (which ends in a dot), in key order, at most `limit`, after `after`. */
  list(prefix: string, page: { readonly limit: number; readonly after?: string }): Promise<readonly StoredRecord[]>;

  /** All keys that begin with `prefix` (which ends in a dot) with their revisions, in key order, without values. */
  keys(prefix: string): Promise<readonly StoredKey[]>;

  /**
   * All writes or none. @returns the revision of the last write; write i has revision `revision - (n - 1 - i)`.
   * Put what watchers follow last and the audit record first: then `revision` is the one a watcher will report.
   * @throws StoreError `conflict` (an expectation failed, nothing written), `unavailable` (nothing written),
   * `outcome_unknown` (asked, no answer: read back before a retry), `invalid` (a bug in the caller).
   */
  commit(writes: readonly Write[]): Promise<{ readonly revision: number }>;

  /** Follows all keys that match one of the filters until disposed; loads the current state first. */
  watch(options: WatchOptions): Watch;
}

export interface StoredRecord {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

export type StoredKey = Omit<StoredRecord, 'value'>;

/** One write of a commit. `expect`: the revision the key must have now, 0 = the key must not exist, absent = any. */
export interface Write {
  readonly key: string;
  /** Absent: the key is deleted. */
  readonly value?: Uint8Array;
  readonly expect?: number;
  /** The store forgets the record after this time, at least 1 s. Clean-up only: readers check expiry themselves. */
  readonly ttlSeconds?: number;
}

/** A change a watch reports; `value` absent = the key is gone. */
export interface Change {
  readonly key: string;
  readonly revision: number;
  readonly value?: Uint8Array;
}

/** What a watch calls. A listener that throws is given everything anew, after a pause that grows. */
export interface WatchOptions {
  /** NATS subject filters relative to the bucket: `u.>`, `head`. */
  readonly filters: readonly string[];
  /** A full load begins: what is not reported again until `onSynced` is gone. */
  readonly onReset: () => void;
  /** Changes to apply together, in revision order. */
  readonly onChanges: (changes: readonly Change[]) => void;
  /** Everything up to `revision` has been reported. Called again after each full reload. */
  readonly onSynced: (revision: number) => void;
}

export interface Watch extends AsyncDisposable {
  /** Everything up to this store revision has been reported; 0 before the first load is complete. */
  appliedRevision(): number;
  /** Milliseconds since the store last proved that nothing is missing; Infinity before the first load. */
  stalenessMs(): number;
}

export type StoreErrorKind = 'conflict' | 'unavailable' | 'outcome_unknown' | 'invalid';

/** The only error a store throws on purpose. `unavailable` must never be read as "no such record". */
export class StoreError extends Error {
  readonly kind: StoreErrorKind;
  constructor(kind: StoreErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.kind = kind;
  }
}
