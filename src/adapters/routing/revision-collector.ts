import { LIMITS } from '#domain/limits.ts';
import { parseManifest } from '#domain/routing/canonical.ts';
import { type Head, parseHead } from '#domain/routing/head.ts';
import { type KeyValueStore, type StoredRecord, StoreError } from '#ports/key-value-store.ts';
import { mapBounded } from './bounded.ts';
import { CHUNK_PREFIX, chunkKey, HEAD_KEY, MANIFEST_PREFIX, manifestKey, REVISION_PREFIX } from './keys.ts';
import { recordsUnder } from './pages.ts';
import { sha256Of } from './parts.ts';
import { RevisionUnreadable } from './revision-loader.ts';

/** How long a removed key leaves its marker, for watchers that were away. */
const MARKER_TTL_SECONDS = 3_600;

/** One write of a key. */
type Written = Pick<StoredRecord, 'key' | 'revision'>;

/**
 * Removes revisions beyond the newest ones that are kept, and the parts that no kept revision names.
 *
 * Between looking and removing it writes `head` again, the same bytes, on condition of the head it looked at: a fence.
 * A publication that began before the fence fails at its compare-and-set of `head` and begins again. One that began
 * after it writes again every part that its parent does not name, and a part is removed only on condition of the write
 * that was seen before the fence. So no publication can come to name a part that was removed, however slow anybody is.
 */
export class RevisionCollector {
  readonly #store: KeyValueStore;
  readonly #keptCount: number;

  constructor(store: KeyValueStore, keptCount: number) {
    this.#store = store;
    this.#keptCount = keptCount;
  }

  /**
   * One round. Does nothing while `head` holds no revision of ours, because what was there before may be recorded
   * nowhere else; anything it cannot read stops it before it removes a part.
   * @throws StoreError (`conflict`: somebody published meanwhile), RevisionUnreadable
   */
  async collect(): Promise<{ readonly removed: number }> {
    const record = await this.#store.get(HEAD_KEY);
    const head = record === undefined ? undefined : properHead(record);
    if (record === undefined || head === undefined) return { removed: 0 };
    const { manifests, expired } = await this.#keptManifests(head);
    const { named, unnamed } = await this.#readManifests(manifests);
    for await (const chunk of recordsUnder(this.#store, CHUNK_PREFIX)) {
      if (!named.has(chunk.key)) unnamed.push({ key: chunk.key, revision: chunk.revision });
    }
    const garbage = [...expired, ...unnamed];
    if (garbage.length === 0) return { removed: 0 };
    await this.#store.commit([{ key: HEAD_KEY, value: record.value, expect: record.revision }]);
    const removed = await mapBounded(garbage, LIMITS.routingPartsInFlightMaxCount, (each) => this.#remove(each));
    return { removed: removed.filter((done) => done).length };
  }

  /** Names of the manifests that kept revisions need, and the copies of revisions that are too old to keep. */
  async #keptManifests(head: Head): Promise<{ manifests: Set<string>; expired: readonly Written[] }> {
    const manifests = new Set([head.manifest]);
    const expired: Written[] = [];
    for await (const record of recordsUnder(this.#store, REVISION_PREFIX)) {
      const recorded = properHead(record);
      if (recorded === undefined) throw new RevisionUnreadable(0, `${record.key} is damaged`);
      if (recorded.revision > head.revision - this.#keptCount) manifests.add(recorded.manifest);
      else expired.push({ key: record.key, revision: record.revision });
    }
    return { manifests, expired };
  }

  /** The keys of all chunks that `wanted` manifests name, and the manifests that are not wanted. */
  async #readManifests(wanted: Set<string>): Promise<{ named: ReadonlySet<string>; unnamed: Written[] }> {
    const named = new Set<string>();
    const unnamed: Written[] = [];
    for await (const record of recordsUnder(this.#store, MANIFEST_PREFIX)) {
      const sha256 = record.key.slice(MANIFEST_PREFIX.length);
      if (wanted.delete(sha256)) for (const key of partsNamedBy(record, sha256)) named.add(key);
      else unnamed.push({ key: record.key, revision: record.revision });
    }
    const [missing] = wanted;
    if (missing !== undefined) throw new RevisionUnreadable(0, `manifest ${missing} of a kept revision is missing`);
    return { named, unnamed };
  }

  /** False when it was written again meanwhile, or another collector was quicker. */
  async #remove({ key, revision }: Written): Promise<boolean> {
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
  return [...manifest.value.placements, ...Object.values(manifest.value.shards)].map(chunkKey);
}

/** A record that is no head of ours (a table put by hand) names no parts. */
function properHead(record: StoredRecord): Head | undefined {
  const parsed = parseHead(Buffer.from(record.value).toString('utf8'));
  return parsed.ok && parsed.value.form === 'revision' ? parsed.value.head : undefined;
}
