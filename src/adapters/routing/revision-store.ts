import { type Outcome, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { type Head, parseHead } from '#domain/routing/head.ts';
import type { RevisionDraft } from '#domain/routing/revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import type { Log } from '#platform/log.ts';
import { type KeyValueStore, type StoredRecord, StoreError } from '#ports/key-value-store.ts';
import type { RevisionSummary, RoutingStore } from '#ports/routing.ts';
import { mapBounded } from './bounded.ts';
import { CollectionPace } from './garbage/collection-pace.ts';
import { type Fence, RevisionCollector } from './garbage/revision-collector.ts';
import { HEAD_KEY, REVISION_PREFIX, revisionKey } from './keys.ts';
import { applyHead, loadRevision, RevisionUnreadable } from './revision-loader.ts';
import { type PublishedHead, RevisionWriter } from './revision-writer.ts';
import { Turns } from './turns.ts';

export interface RevisionStoreOptions {
  readonly store: KeyValueStore;
  readonly log: Log;
  /** The newest revision this process holds anyway (from a RoutingSource), so that it is not read twice. */
  readonly known?: () => RoutingSnapshot | undefined;
  /** How many of the newest revisions a collection keeps: the limit of the product unless told otherwise. */
  readonly keptCount?: number;
  /** After how many revisions garbage is looked for, and how much of it makes a removal worth while; as above. */
  readonly collectEveryCount?: number;
}

/** What the key `head` holds now. */
export type HeadState =
  | { readonly form: 'none' }
  | { readonly form: 'revision'; readonly head: Head; readonly record: StoredRecord }
  | { readonly form: 'inline'; readonly table: unknown; readonly note: string; readonly record: StoredRecord }
  | { readonly form: 'damaged'; readonly reason: string; readonly record: StoredRecord };

/** RoutingStore over bucket ROUTING: see design section 4 for the layout and `RevisionWriter` for how it is written. */
export class RevisionStore implements RoutingStore {
  readonly #store: KeyValueStore;
  readonly #log: Log;
  readonly #known: () => RoutingSnapshot | undefined;
  readonly #writer: RevisionWriter;
  readonly #collector: RevisionCollector;
  readonly #collectEveryCount: number;
  readonly #pace: CollectionPace;
  readonly #turns = new Turns();
  #collecting: Promise<unknown> = Promise.resolve();
  /** Store revision of the key `head` under which this process saw a snapshot stand. */
  readonly #headRevisions = new WeakMap<RoutingSnapshot, number>();
  #held: RoutingSnapshot | undefined;

  constructor(options: RevisionStoreOptions) {
    const { store, log, known, keptCount = LIMITS.revisionsKeptMaxCount } = options;
    this.#collectEveryCount = options.collectEveryCount ?? LIMITS.routingGarbageEveryRevisionsCount;
    this.#pace = new CollectionPace(this.#collectEveryCount, () => this.#collectContained());
    this.#store = store;
    this.#log = log;
    this.#known = known ?? (() => undefined);
    this.#collector = new RevisionCollector(store, keptCount);
    this.#writer = new RevisionWriter(store, (copy) => this.#collector.learn(copy));
  }

  /** @throws StoreError; RevisionUnreadable when the head or one of its parts is damaged */
  async head(): Promise<RoutingSnapshot | undefined> {
    const state = await this.headState();
    if (state.form === 'none') return undefined;
    if (state.form === 'inline') return this.lastProper();
    if (state.form === 'damaged') throw new RevisionUnreadable(0, state.reason);
    const snapshot = await this.#snapshotOf(state.head);
    this.#hold({ snapshot, headRevision: state.record.revision });
    return snapshot;
  }

  knownHead(): RoutingSnapshot | undefined {
    return this.#newestInMemory();
  }

  inTurn<Value>(work: () => Promise<Outcome<Value>>): Promise<Outcome<Value>> {
    return this.#turns.take(work);
  }

  async revision(revision: number, near?: RoutingSnapshot): Promise<RoutingSnapshot | undefined> {
    const head = await this.#headOf(revision);
    return head === undefined ? undefined : this.#snapshotOf(head, near);
  }

  async list(page: { readonly limit: number; readonly before?: number }): Promise<readonly RevisionSummary[]> {
    const newest = (await this.#newestHead())?.revision ?? 0;
    const from = Math.min(newest, (page.before ?? Number.POSITIVE_INFINITY) - 1);
    const last = Math.max(1, newest - LIMITS.revisionsKeptMaxCount + 1, from - page.limit + 1);
    const numbers = Array.from({ length: Math.max(0, from - last + 1) }, (_, index) => from - index);
    const heads = await mapBounded(numbers, LIMITS.routingPartsInFlightMaxCount, (number) => this.#headOf(number));
    return heads.filter((head) => head !== undefined).map(summaryOf);
  }

  async publish(next: RevisionDraft, parent: RoutingSnapshot | undefined): Promise<RoutingSnapshot> {
    const seen = parent === undefined ? undefined : this.#headRevisions.get(parent);
    const headRevision = seen ?? (await this.#headRevisionOf(parent));
    try {
      return await this.publishAt(next, parent, headRevision);
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind !== 'conflict') throw error;
      // A collector may have written the same head again: then nobody was first, and the parts are written anew.
      const fenced = await this.#headRevisionOf(parent);
      if (fenced === headRevision) throw error;
      return this.publishAt(next, parent, fenced);
    }
  }

  /** Publishes over a `head` that is at store revision `headRevision` now, whatever stands there. @throws StoreError */
  async publishAt(
    next: RevisionDraft,
    parent: RoutingSnapshot | undefined,
    headRevision: number,
  ): Promise<RoutingSnapshot> {
    const published = await this.#writer.write(next, parent, headRevision);
    this.#hold(published);
    this.#pace.published(next.revision);
    return published.snapshot;
  }

  /**
   * Removes what no kept revision needs, if it is `garbageMinCount` records. One round at a time. Its fence takes a
   * turn, so it must not be awaited within one; where too many wait for theirs it does nothing.
   * @returns how many records went
   * @throws StoreError, RevisionUnreadable
   */
  collect({ garbageMinCount = 1 }: { readonly garbageMinCount?: number } = {}): Promise<{ readonly removed: number }> {
    const round = this.#collecting.then(() => this.#collectNow(garbageMinCount));
    this.#collecting = round.catch(() => undefined);
    return round;
  }

  /** What stands in the key `head`. @throws StoreError */
  async headState(): Promise<HeadState> {
    const record = await this.#store.get(HEAD_KEY);
    return record === undefined ? { form: 'none' } : headStateOf(record);
  }

  /** The newest proper revision when `head` does not hold one: from memory or from the kept copies. */
  async lastProper(): Promise<RoutingSnapshot | undefined> {
    const inMemory = this.#newestInMemory();
    const numbers = await this.#keptNumbers();
    const newest = Math.max(0, ...numbers);
    if (inMemory !== undefined && inMemory.revision >= newest) return inMemory;
    const head = newest === 0 ? undefined : await this.#recordedHead(newest);
    return head === undefined ? inMemory : this.#snapshotOf(head);
  }

  /** The store revision of `head` while `parent` is the newest revision. @throws StoreError `conflict` when it is not */
  async #headRevisionOf(parent: RoutingSnapshot | undefined): Promise<number> {
    const state = await this.headState();
    if (state.form === 'none' && parent === undefined) return 0;
    if (state.form === 'revision' && parent !== undefined && isHeadOf(state.head, parent)) return state.record.revision;
    throw new StoreError('conflict', `head is not at revision ${parent?.revision ?? 0}`);
  }

  async #snapshotOf(head: Head, near?: RoutingSnapshot): Promise<RoutingSnapshot> {
    const known = this.#known();
    for (const held of [this.#held, known]) if (held !== undefined && isHeadOf(head, held)) return held;
    const base = near ?? this.#newestInMemory();
    return (base && applyHead(base, head)) ?? (await loadRevision(this.#store, head, base));
  }

  #newestInMemory(): RoutingSnapshot | undefined {
    const known = this.#known();
    return (known?.revision ?? 0) > (this.#held?.revision ?? 0) ? known : this.#held;
  }

  #hold({ snapshot, headRevision }: PublishedHead): void {
    this.#headRevisions.set(snapshot, headRevision);
    if (snapshot.revision >= (this.#held?.revision ?? 0)) this.#held = snapshot;
  }

  async #headOf(revision: number): Promise<Head | undefined> {
    const recorded = await this.#recordedHead(revision);
    if (recorded !== undefined) return recorded;
    // The newest one may stand in `head` alone: its copy is written after it.
    const state = await this.headState();
    if (state.form !== 'revision' || state.head.revision < revision) return undefined;
    // A newer one has been published meanwhile, and the copy of its parent written before.
    return state.head.revision === revision ? state.head : this.#recordedHead(revision);
  }

  async #recordedHead(revision: number): Promise<Head | undefined> {
    const record = await this.#store.get(revisionKey(revision));
    const state = record === undefined ? undefined : headStateOf(record);
    return state?.form === 'revision' && state.head.revision === revision ? state.head : undefined;
  }

  async #newestHead(): Promise<Pick<Head, 'revision'> | undefined> {
    const state = await this.headState();
    return state.form === 'revision' ? state.head : this.lastProper();
  }

  async #keptNumbers(): Promise<readonly number[]> {
    const keys = await this.#store.keys(REVISION_PREFIX);
    return keys.map(({ key }) => Number(key.slice(REVISION_PREFIX.length))).filter(Number.isSafeInteger);
  }

  async #collectNow(garbageMinCount: number): Promise<{ readonly removed: number }> {
    const fence = await this.inTurn(async () => succeed(this.#noteFence(await this.#collector.fence())));
    if (!fence.ok || fence.value === undefined) return { removed: 0 };
    return this.#collector.sweep(fence.value, garbageMinCount);
  }

  /** The head is at another store revision now, which the next publication of this process need not find out. */
  #noteFence(fence: Fence | undefined): Fence | undefined {
    const held = this.#newestInMemory();
    if (fence !== undefined && held !== undefined && isHeadOf(fence.head, held)) {
      this.#headRevisions.set(held, fence.headRevision);
    }
    return fence;
  }

  async #collectContained(): Promise<void> {
    try {
      const { removed } = await this.collect({ garbageMinCount: this.#collectEveryCount });
      this.#log.info({ removed }, 'routing garbage collected');
    } catch (error) {
      this.#log.warn({ err: error }, 'routing garbage was not collected');
    }
  }
}

/** Reads a record of `head` or `rev.<n>`. */
export function headStateOf(record: StoredRecord): HeadState {
  const parsed = parseHead(Buffer.from(record.value).toString('utf8'));
  if (!parsed.ok) return { form: 'damaged', reason: parsed.error.reason, record };
  if (parsed.value.form === 'revision') return { form: 'revision', head: parsed.value.head, record };
  return { form: 'inline', ...parsed.value.inline, record };
}

const isHeadOf = (head: Head, snapshot: RoutingSnapshot): boolean =>
  head.revision === snapshot.revision && head.manifest === snapshot.manifest;

const summaryOf = ({ revision, parent, manifest, kindRevisions, at, by, note }: Head): RevisionSummary => ({
  ...{ revision, parent, manifest, kindRevisions, at, by, note },
});
