import { SERVICE_KINDS } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { placementChunkText, shardDirectoryText } from '#domain/routing/canonical.ts';
import { type Head, headText, parseHead } from '#domain/routing/head.ts';
import { inlineChanges, type RevisionDraft } from '#domain/routing/revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { runInTurn, runInTurns } from '#platform/event-loop.ts';
import { type KeyValueStore, StoreError, type Write } from '#ports/key-value-store.ts';
import { mapBounded } from './bounded.ts';
import { chunkKey, HEAD_KEY, manifestKey, revisionKey } from './keys.ts';
import { manifestInSteps, manifestOf, type NamedManifest, pack } from './parts.ts';

type Store = Pick<KeyValueStore, 'get' | 'commit'>;

/** A head that has been decided: the snapshot it stands for and the store revision of the key `head`. */
export interface PublishedHead {
  readonly snapshot: RoutingSnapshot;
  readonly headRevision: number;
}

/** The copy `rev.<n>` of a revision published here, and which write of it. */
export interface PublishedCopy {
  readonly revision: number;
  readonly write: number;
  readonly manifest: NamedManifest;
}

/**
 * Writes one revision: first the parts, which nobody sees, then `head` by compare-and-set. Parts are immutable and
 * named by their content, so the one write of `head` makes the revision atomic; a reader has all of it or none. The
 * copy `rev.<n>` follows without being waited for: until it is there the revision is found in `head`, and the next
 * publication makes sure of it before it replaces `head`.
 */
export class RevisionWriter {
  readonly #store: Store;
  readonly #onCopy: (copy: PublishedCopy) => void;
  /** Newest revision whose `rev.<n>` this process knows to be there. */
  #recorded = 0;
  /** The write of the last `rev.<n>`, for which only the next publication waits. Never rejects. */
  #recording: Promise<void> = Promise.resolve();

  constructor(store: Store, onCopy: (copy: PublishedCopy) => void) {
    this.#store = store;
    this.#onCopy = onCopy;
  }

  /**
   * Publishes `next` after `parent`, provided that `head` is still at store revision `headRevision` (0: absent), which
   * the caller must have read before: what a collector removes without moving `head` is then written again here.
   * @throws StoreError: `conflict` when it is not
   */
  async write(next: RevisionDraft, parent: RoutingSnapshot | undefined, headRevision: number): Promise<PublishedHead> {
    const manifest = await runInTurns(manifestInSteps(next));
    await Promise.all([this.#record(parent), this.#writeParts(next, { manifest, parent })]);
    const head = headOf(next, manifest.sha256, inlineChanges(parent, next));
    const decided = await this.#decide(head, headRevision);
    this.#recording = this.#recordPublished(head, manifest);
    return { snapshot: { ...next, manifest: manifest.sha256 }, headRevision: decided };
  }

  /** A failure is no matter: the revision stands, and whoever publishes the next one records this one first. */
  async #recordPublished(head: Head, manifest: NamedManifest): Promise<void> {
    const write = { key: revisionKey(head.revision), value: Buffer.from(headText(head)) };
    await this.#store.commit([write]).then(
      ({ revision: write }) => {
        this.#recorded = head.revision;
        this.#onCopy({ revision: head.revision, write, manifest });
      },
      () => undefined,
    );
  }

  /** Repairs a `rev.<parent>` that its publisher did not come to write. */
  async #record(parent: RoutingSnapshot | undefined): Promise<void> {
    await this.#recording;
    if (parent === undefined || parent.revision <= this.#recorded) return;
    const value = Buffer.from(headText(headOf(parent, parent.manifest, undefined)));
    try {
      await this.#store.commit([{ key: revisionKey(parent.revision), value, expect: 0 }]);
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind !== 'conflict') throw error;
    }
    this.#recorded = parent.revision;
  }

  /**
   * Writes every part that the parent's manifest does not name, even one that is stored already: writing it again
   * gives it a new store revision, so that a collector that saw it unwanted before does not remove it.
   */
  async #writeParts(
    next: RevisionDraft,
    { manifest, parent }: { readonly manifest: NamedManifest; readonly parent: RoutingSnapshot | undefined },
  ): Promise<void> {
    const known = parent === undefined ? undefined : storedManifestOf(parent);
    const texts = new Map<string, () => string>();
    for (const [index, sha256] of manifest.placements.entries()) {
      if (known?.placements[index] === sha256) continue;
      texts.set(sha256, () => placementChunkText(next.placements.bucket(index)));
    }
    for (const kind of SERVICE_KINDS) {
      if (known?.shards[kind] === manifest.shards[kind]) continue;
      texts.set(manifest.shards[kind], () => shardDirectoryText(next.shards[kind]));
    }
    const writes: (() => Promise<Write>)[] = [...texts].map(([sha256, text]) => async () => ({
      key: chunkKey(sha256),
      value: await runInTurn(() => pack(text())),
    }));
    writes.push(async () => ({ key: manifestKey(manifest.sha256), value: Buffer.from(manifest.text) }));
    await mapBounded(writes, LIMITS.routingPartsInFlightMaxCount, async (write) => this.#put(await write()));
  }

  /** Writing an immutable part twice does no harm, so an unknown outcome is simply tried again. */
  async #put(write: Write): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#store.commit([write]);
        return;
      } catch (error) {
        const repeat = error instanceof StoreError && (error.kind === 'outcome_unknown' || error.kind === 'conflict');
        if (!repeat || attempt > LIMITS.conflictRetriesMaxCount) throw asNothingPublished(error);
      }
    }
  }

  /** The compare-and-set that decides. @returns the new store revision of `head` */
  async #decide(head: Head, expect: number): Promise<number> {
    const text = headText(head);
    try {
      const { revision } = await this.#store.commit([{ key: HEAD_KEY, value: Buffer.from(text), expect }]);
      return revision;
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind !== 'outcome_unknown') throw error;
      return this.#readBack({ head, text, expect, unknown: error });
    }
  }

  /** Asked and not answered: what stands in the store says whether it was done. */
  async #readBack(asked: { head: Head; text: string; expect: number; unknown: StoreError }): Promise<number> {
    const record = await this.#store.get(HEAD_KEY).catch(() => {
      throw asked.unknown;
    });
    if (record !== undefined && isText(record.value, asked.text)) return record.revision;
    // Still what it was: the request may yet arrive.
    if ((record?.revision ?? 0) === asked.expect) throw asked.unknown;
    const stored = record === undefined ? undefined : parseHead(Buffer.from(record.value).toString('utf8'));
    const passed =
      stored?.ok === true && stored.value.form === 'revision' && stored.value.head.revision > asked.head.revision;
    const recorded = passed ? await this.#store.get(revisionKey(asked.head.revision)) : undefined;
    if (recorded !== undefined && isSameRevision(recorded.value, asked.head)) return record?.revision ?? 0;
    throw new StoreError('conflict', `another revision ${asked.head.revision} was published`, { cause: asked.unknown });
  }
}

export const headOf = (
  { revision, parent, kindRevisions, at, by, note }: RevisionDraft,
  manifest: string,
  changes: Head['changes'],
): Head => ({
  ...{ schema: 1, revision, parent, manifest, kindRevisions, at, by, note },
  ...(changes === undefined ? {} : { changes }),
});

/** Undefined when the parent's parts were stored in another spelling than ours: then all are written again. */
function storedManifestOf(parent: RoutingSnapshot): NamedManifest | undefined {
  const manifest = manifestOf(parent);
  return manifest.sha256 === parent.manifest ? manifest : undefined;
}

const isText = (value: Uint8Array, text: string): boolean => Buffer.from(value).equals(Buffer.from(text));

/** Records made by a repair lack the inline changes, hence no comparison of bytes. */
function isSameRevision(value: Uint8Array, head: Head): boolean {
  const parsed = parseHead(Buffer.from(value).toString('utf8'));
  if (!parsed.ok || parsed.value.form !== 'revision') return false;
  const other = parsed.value.head;
  return other.manifest === head.manifest && other.at === head.at && other.by === head.by && other.note === head.note;
}

/** Before the head is asked for nothing is published, whatever became of a part. */
const asNothingPublished = (error: unknown): unknown =>
  error instanceof StoreError && error.kind === 'outcome_unknown'
    ? new StoreError('unavailable', error.message, { cause: error })
    : error;
