import type { RoutingView } from '#domain/access/routing-view.ts';
import { clusterName } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import type { Clock } from '#ports/clock.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { RoutingSource } from '#ports/routing.ts';

/** The routing to decide a stamped request by. `substituted`: not the stamped revision, which is no longer kept. */
export type StampedRouting =
  | (Extract<RoutingView, { state: 'held' }> & { readonly revision: number; readonly substituted: boolean })
  | Exclude<RoutingView, { state: 'held' }>;

type Held = Extract<StampedRouting, { state: 'held' }>;

interface Kept {
  readonly view: Held;
  readonly sinceMs: number;
}

const AHEAD: StampedRouting = { state: 'ahead' };
/** Older revisions read at once, and how long one that could not be had is not asked for again. */
const READS_MAX_COUNT = 8;
const READ_AGAIN_AFTER_MS = 5_000;

/**
 * Keeps the routing revisions that an Envoy may still route by: all from the oldest stamp that a live xds server
 * reports, and in any case the ones younger than `routingSnapshotsMinAgeMs`. When no xds server is heard of, nobody
 * gets a newer stamp either, so the last oldest one goes on counting. ("The last 16" was an outage.)
 *
 * A stamp older than what is here and not kept (this replica has just started, or skipped the revision while it was
 * loading) is read from the store: another revision's placement may name a cluster that this Envoy does not have.
 */
export class SnapshotKeeper implements Disposable {
  readonly #clock: Clock;
  readonly #board: Pick<ReplicaBoard, 'live' | 'onChange'>;
  readonly #maxCount: number;
  readonly #read: ((revision: number) => Promise<RoutingSnapshot | undefined>) | undefined;
  /** Revisions being read, and those that could not be had; 0 = being read, else when to ask again. */
  readonly #reads = new Map<number, number>();
  /** In the order of their revisions. */
  readonly #kept = new Map<number, Kept>();
  readonly #listeners = new Set<() => void>();
  readonly #unsubscribe: (() => void)[];
  #newest: Held | undefined;
  #newestSubstitute: Held | undefined;
  #floor: number | undefined;

  constructor(options: {
    readonly source: Pick<RoutingSource, 'current' | 'onRevision'>;
    readonly board: Pick<ReplicaBoard, 'live' | 'onChange'>;
    readonly clock: Clock;
    /** Reads an older revision from the store; undefined where it is not kept. */
    readonly read?: (revision: number) => Promise<RoutingSnapshot | undefined>;
    /** Default `LIMITS.routingSnapshotsMaxCount`. */
    readonly maxCount?: number;
  }) {
    this.#clock = options.clock;
    this.#board = options.board;
    this.#maxCount = options.maxCount ?? LIMITS.routingSnapshotsMaxCount;
    this.#read = options.read;
    this.#unsubscribe = [
      options.source.onRevision((snapshot) => this.#add(snapshot)),
      options.board.onChange(() => this.#prune()),
    ];
    const current = options.source.current();
    if (current !== undefined && this.#newest === undefined) this.#add(current);
  }

  /** The routing of a stamp, in constant time; `ahead` while it is worth a short wait. */
  at(stamp: number): StampedRouting {
    const kept = this.#kept.get(stamp);
    if (kept !== undefined) return kept.view;
    if (this.#newest === undefined || stamp > this.#newest.revision) return AHEAD;
    return this.#isBeingRead(stamp) ? AHEAD : this.atLast(stamp);
  }

  /** The same when there is no time left to wait: the newest revision in place of one that is not here. */
  atLast(stamp: number): StampedRouting {
    const kept = this.#kept.get(stamp);
    if (kept !== undefined) return kept.view;
    if (this.#newest === undefined || stamp > this.#newest.revision) return AHEAD;
    return this.#newestSubstitute ?? AHEAD;
  }

  /** The newest revision held, 0 before the first. */
  newestRevision(): number {
    return this.#newest?.revision ?? 0;
  }

  /** How many revisions are kept. */
  count(): number {
    return this.#kept.size;
  }

  /** Calls back after each new revision, when `at` knows it. @returns a function that ends it */
  onRevision(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listeners.clear();
  }

  #add(snapshot: RoutingSnapshot): void {
    // A number that does not follow is another history (a restored store): nothing kept says anything about it.
    if (this.#newest !== undefined && snapshot.revision <= this.#newest.revision) this.#kept.clear();
    this.#newest = viewOf(snapshot);
    this.#newestSubstitute = { ...this.#newest, substituted: true };
    this.#kept.set(snapshot.revision, { view: this.#newest, sinceMs: this.#clock.nowMs() });
    this.#prune();
    for (const listener of this.#listeners) listener();
  }

  /** Begins to read an older revision unless that was tried a moment ago. */
  #isBeingRead(revision: number): boolean {
    if (this.#read === undefined) return false;
    const again = this.#reads.get(revision);
    if (again === 0) return true;
    const nowMs = this.#clock.nowMs();
    if (again !== undefined && nowMs < again) return false;
    if (this.#reads.size >= READS_MAX_COUNT) for (const [old, at] of this.#reads) if (at !== 0) this.#reads.delete(old);
    if (this.#reads.size >= READS_MAX_COUNT) return false;
    this.#reads.set(revision, 0);
    void this.#readOlder(revision);
    return true;
  }

  async #readOlder(revision: number): Promise<void> {
    // The store being away is no reason to stop deciding: the newest revision stands in.
    const snapshot = await this.#read?.(revision).catch(() => undefined);
    if (snapshot?.revision !== revision || revision >= (this.#newest?.revision ?? 0)) {
      this.#reads.set(revision, this.#clock.nowMs() + READ_AGAIN_AFTER_MS);
    } else {
      this.#reads.delete(revision);
      this.#keepOlder(snapshot);
    }
    for (const listener of this.#listeners) listener();
  }

  #keepOlder(snapshot: RoutingSnapshot): void {
    const view = viewOf(snapshot);
    const kept = [...this.#kept, [snapshot.revision, { view, sinceMs: this.#clock.nowMs() }] as const];
    this.#kept.clear();
    for (const [revision, entry] of kept.sort(([left], [right]) => left - right)) this.#kept.set(revision, entry);
    this.#prune();
  }

  #prune(): void {
    const stamps = this.#board.live('xds').flatMap((replica) => replica.oldestStamp ?? []);
    if (stamps.length > 0) this.#floor = Math.min(...stamps);
    const settledBeforeMs = this.#clock.nowMs() - LIMITS.routingSnapshotsMinAgeMs;
    for (const [revision, kept] of this.#kept) {
      if (this.#kept.size === 1) return;
      const isOver = this.#kept.size > this.#maxCount;
      // The one that some Envoy is known to route by goes last, also when there are too many.
      if (isOver && revision === this.#floor) continue;
      const isNeeded = this.#floor === undefined || revision >= this.#floor || kept.sinceMs > settledBeforeMs;
      if (isNeeded && !isOver) return;
      this.#kept.delete(revision);
    }
  }
}

const viewOf = (snapshot: RoutingSnapshot): Held => ({
  state: 'held',
  placement: (tenantId, kind) => {
    const placement = snapshot.placements.get(tenantId)?.[kind];
    return placement && { cluster: clusterName(kind, placement.shard), epoch: placement.epoch };
  },
  shard: (kind, name) =>
    snapshot.shards[kind].has(name) ? { cluster: clusterName(kind, name), epoch: undefined } : undefined,
  revision: snapshot.revision,
  substituted: false,
});
