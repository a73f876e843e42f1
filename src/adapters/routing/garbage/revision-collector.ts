import { LIMITS } from '#domain/limits.ts';
import { type Manifest, parseManifest } from '#domain/routing/canonical.ts';
import { type Head, parseHead } from '#domain/routing/head.ts';
import { type KeyValueStore, type StoredKey, type StoredRecord, StoreError } from '#ports/key-value-store.ts';
import { mapBounded } from '../bounded.ts';
import { CHUNK_PREFIX, HEAD_KEY, MANIFEST_PREFIX, manifestKey, REVISION_PREFIX, revisionKey } from '../keys.ts';
import { sha256Of } from '../parts.ts';
import { RevisionUnreadable } from '../revision-loader.ts';
import type { PublishedCopy } from '../revision-writer.ts';
import { KeptParts } from './kept-parts.ts';

/**
 * How long a removed key leaves our marker: short, because nobody watches these keys and each round passes over every
 * marker that is still there. The server then puts one of its own in its place for the time the bucket says.
 */
const MARKER_TTL_SECONDS = 60;

/** A head that was written again, the same bytes, so that publications under way begin anew. */
export interface Fence {
  readonly head: Head;
  /** The store revision of `head` by this write; all records with smaller ones were there before. */
  readonly headRevision: number;
}

/** What a look at the keys found. */
interface Listing {
  readonly revisions: ReadonlyMap<number, StoredKey>;
  readonly manifests: readonly StoredKey[];
  readonly chunks: readonly StoredKey[];
}

/**
 * Removes revisions beyond the newest ones that are kept, and the parts that no kept revision names.
 *
 * It begins by writing `head` again, the same bytes, on condition of the head it read: a fence. A publication that
 * began before the fence fails at its compare-and-set of `head` and begins again. One that began after it writes again
 * every part that its parent does not name, and its parent is the fenced head or came after it in the same way. Only
 * records written before the fence that nothing kept at the fence names are removed, each on condition of that very
 * write. So no publication can come to name a part that was removed, however slow anybody is, and publications
 * between the fence and the removals disturb nothing.
 *
 * A round lists keys without values and reads only what others published since the last round of this process.
 */
export class RevisionCollector {
  readonly #store: Pick<KeyValueStore, 'get' | 'keys' | 'commit'>;
  readonly #keptCount: number;
  readonly #kept = new KeptParts();

  constructor(store: Pick<KeyValueStore, 'get' | 'keys' | 'commit'>, keptCount: number) {
    this.#store = store;
    this.#keptCount = keptCount;
  }

  /**
   * Begins a round. Undefined while `head` holds no revision of ours: what was there before may be recorded nowhere
   * else, so nothing can be removed.
   * @throws StoreError; `conflict` when others publish too quickly to come in between
   */
  async fence(): Promise<Fence | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const record = await this.#store.get(HEAD_KEY);
      const head = record === undefined ? undefined : properHead(record);
      if (record === undefined || head === undefined) return undefined;
      try {
        const write = { key: HEAD_KEY, value: record.value, expect: record.revision };
        const { revision } = await this.#store.commit([write]);
        return { head, headRevision: revision };
      } catch (error) {
        const again = error instanceof StoreError && error.kind === 'conflict';
        if (!again || attempt > LIMITS.conflictRetriesMaxCount) throw error;
      }
    }
  }

  /**
   * Removes what was garbage at the fence, unless it is fewer than `garbageMinCount` records. Not twice at a time.
   * Anything it cannot read stops it before it removes a thing.
   * @throws StoreError, RevisionUnreadable
   */
  async sweep(fence: Fence, garbageMinCount: number): Promise<{ readonly removed: number }> {
    const listing = await this.#look();
    const oldest = Math.max(1, fence.head.revision - this.#keptCount + 1);
    await this.#learnKept(fence.head, oldest, listing);
    const expired = [...listing.revisions].filter(([revision]) => revision < oldest).map(([, record]) => record);
    const unnamed = [
      ...listing.manifests.filter(({ key }) => !this.#kept.hasManifest(key.slice(MANIFEST_PREFIX.length))),
      ...listing.chunks.filter(({ key }) => !this.#kept.hasPart(key.slice(CHUNK_PREFIX.length))),
    ];
    const garbage = [...expired, ...unnamed].filter(({ revision }) => revision < fence.headRevision);
    if (garbage.length < garbageMinCount) return { removed: 0 };
    const removed = await mapBounded(garbage, LIMITS.routingPartsInFlightMaxCount, (each) => this.#remove(each));
    return { removed: removed.filter((done) => done).length };
  }

  /** Notes a revision that this process published, so that no round has to read it. */
  learn({ revision, write, manifest }: PublishedCopy): void {
    // Rounds forget what is kept no more; without them what is noted here must be bounded all the same.
    if (this.#kept.sizes().manifests >= this.#keptCount + LIMITS.routingGarbageEveryRevisionsCount) return;
    this.#kept.setRevision(revision, { write, manifest: manifest.sha256 });
    this.#kept.addManifest(manifest.sha256, partNames(manifest));
  }

  /** How much is remembered between rounds. */
  remembered(): ReturnType<KeptParts['sizes']> {
    return this.#kept.sizes();
  }

  async #look(): Promise<Listing> {
    const [copies, manifests, chunks] = await Promise.all([
      this.#store.keys(REVISION_PREFIX),
      this.#store.keys(MANIFEST_PREFIX),
      this.#store.keys(CHUNK_PREFIX),
    ]);
    const revisions = new Map<number, StoredKey>();
    for (const record of copies) {
      const revision = Number(record.key.slice(REVISION_PREFIX.length));
      if (!Number.isSafeInteger(revision)) throw new RevisionUnreadable(0, `${record.key} is no copy of a revision`);
      revisions.set(revision, record);
    }
    return { revisions, manifests, chunks };
  }

  /** Reads what is new among the kept revisions and their manifests, and forgets those that are kept no more. */
  async #learnKept(head: Head, oldest: number, { revisions }: Listing): Promise<void> {
    // The copy of the newest one may still be under way. Any other that a listing lacks is asked for once more: keys
    // that are written while they are listed could be passed over, and a kept revision must not be.
    const wanted = new Set([...revisions.keys()].filter((revision) => revision >= oldest));
    for (let revision = oldest; revision < head.revision; revision += 1) wanted.add(revision);
    const manifests = new Set([head.manifest]);
    const unread: number[] = [];
    for (const revision of wanted) {
      const known = this.#kept.manifestOf(revision, revisions.get(revision)?.revision ?? 0);
      if (known === undefined) unread.push(revision);
      else manifests.add(known);
    }
    const limit = LIMITS.routingGarbageReadsInFlightMaxCount;
    for (const manifest of await mapBounded(unread, limit, (revision) => this.#readCopy(revision))) {
      if (manifest !== undefined) manifests.add(manifest);
    }
    // Forgotten before more is read, so that a round that fails half way does not let the memory grow.
    this.#kept.keepOnly({ revisions: wanted, manifests });
    const fresh = [...manifests].filter((sha256) => !this.#kept.hasManifest(sha256));
    await mapBounded(fresh, limit, (sha256) => this.#readManifest(sha256));
  }

  /** The manifest that `rev.<n>` names; undefined when there is no such copy. */
  async #readCopy(revision: number): Promise<string | undefined> {
    const record = await this.#store.get(revisionKey(revision));
    if (record === undefined) return undefined;
    const head = properHead(record);
    if (head?.revision !== revision) throw new RevisionUnreadable(revision, `${record.key} is damaged`);
    this.#kept.setRevision(revision, { write: record.revision, manifest: head.manifest });
    return head.manifest;
  }

  async #readManifest(sha256: string): Promise<void> {
    const record = await this.#store.get(manifestKey(sha256));
    if (record === undefined) throw new RevisionUnreadable(0, `manifest ${sha256} of a kept revision is missing`);
    this.#kept.addManifest(sha256, partsNamedBy(record, sha256));
  }

  /** False when it was written again meanwhile, or another collector was quicker. */
  async #remove({ key, revision }: StoredKey): Promise<boolean> {
    try {
      await this.#store.commit([{ key, expect: revision, ttlSeconds: MARKER_TTL_SECONDS }]);
      return true;
    } catch (error) {
      if (error instanceof StoreError && error.kind === 'conflict') return false;
      throw error;
    }
  }
}

function partsNamedBy(record: StoredRecord, sha256: string): readonly string[] {
  const text = Buffer.from(record.value).toString('utf8');
  const manifest = parseManifest(text);
  if (!manifest.ok || sha256Of(text) !== sha256) {
    throw new RevisionUnreadable(0, `${manifestKey(sha256)} of a kept revision is damaged`);
  }
  return partNames(manifest.value);
}

const partNames = ({ placements, shards }: Pick<Manifest, 'placements' | 'shards'>): readonly string[] => [
  ...placements,
  ...Object.values(shards),
];

/** A record that is no head of ours (a table put by hand) names no parts. */
function properHead(record: StoredRecord): Head | undefined {
  const parsed = parseHead(Buffer.from(record.value).toString('utf8'));
  return parsed.ok && parsed.value.form === 'revision' ? parsed.value.head : undefined;
}
