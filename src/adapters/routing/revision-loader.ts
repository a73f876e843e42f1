import type { ServiceKind } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Result } from '#domain/result.ts';
import {
  type DamagedPart,
  type Manifest,
  parseManifest,
  parsePlacementChunk,
  parseShardDirectory,
} from '#domain/routing/canonical.ts';
import { findUnroutable, findUnroutableInSteps } from '#domain/routing/closure.ts';
import type { Head } from '#domain/routing/head.ts';
import { EMPTY_PLACEMENTS, type PlacementBucket, type PlacementTable } from '#domain/routing/placement-table.ts';
import { shareDirectory } from '#domain/routing/revision.ts';
import type { RoutingSnapshot, ShardDirectory } from '#domain/routing/types.ts';
import { runInTurn, runInTurns } from '#platform/event-loop.ts';
import { type KeyValueStore, StoreError } from '#ports/key-value-store.ts';
import { mapBounded } from './bounded.ts';
import { chunkKey, manifestKey } from './keys.ts';
import { bucketName, directoryName, manifestOf, named, sha256Of, unpack } from './parts.ts';

/**
 * A revision cannot be put together: a part is missing, damaged or contradicts another. To callers that is storage
 * which cannot be used, never the absence of a revision.
 */
export class RevisionUnreadable extends StoreError {
  constructor(revision: number, reason: string, options?: ErrorOptions) {
    super('unavailable', `routing revision ${revision} cannot be read: ${reason}`, options);
    this.name = 'RevisionUnreadable';
  }
}

type Shards = Readonly<Record<ServiceKind, ShardDirectory>>;

/**
 * The revision of `head` from `base`, its parent, by the changes the head carries: no further record is read.
 * Undefined when it carries none, when `base` is not its parent, or when the outcome does not have the manifest that
 * the head names.
 */
export function applyHead(base: RoutingSnapshot, head: Head): RoutingSnapshot | undefined {
  if (head.changes === undefined || head.parent !== base.revision) return undefined;
  const placements = base.placements.with(head.changes, head.revision);
  const content = { shards: base.shards, placements };
  if (manifestOf(content).sha256 !== head.manifest) return undefined;
  return findUnroutable(base, content) === undefined ? snapshotOf(head, content) : undefined;
}

/**
 * The revision of `head`, reading only the parts that `base` does not have, each checked against its hash.
 * @throws StoreError, RevisionUnreadable
 */
export async function loadRevision(
  store: Pick<KeyValueStore, 'get'>,
  head: Head,
  base: RoutingSnapshot | undefined,
): Promise<RoutingSnapshot> {
  const reading = new Reading(store, head.revision);
  const manifest = await reading.manifest(head.manifest);
  const [shards, placements] = await Promise.all([
    reading.shards(manifest, base?.shards),
    reading.placements(manifest, base?.placements ?? EMPTY_PLACEMENTS),
  ]);
  const content = { shards, placements };
  const unroutable = await runInTurns(findUnroutableInSteps(base, content));
  if (unroutable !== undefined) throw new RevisionUnreadable(head.revision, unroutable);
  return snapshotOf(head, content);
}

const snapshotOf = (
  { revision, parent, manifest, kindRevisions, at, by, note }: Head,
  content: Pick<RoutingSnapshot, 'shards' | 'placements'>,
): RoutingSnapshot => ({ revision, parent, manifest, kindRevisions, at, by, note, ...content });

/** One load of one revision. */
class Reading {
  readonly #store: Pick<KeyValueStore, 'get'>;
  readonly #revision: number;

  constructor(store: Pick<KeyValueStore, 'get'>, revision: number) {
    this.#store = store;
    this.#revision = revision;
  }

  async manifest(sha256: string): Promise<Manifest> {
    const record = await this.#store.get(manifestKey(sha256));
    if (record === undefined) throw this.#unreadable(`manifest ${sha256} is missing`);
    const text = Buffer.from(record.value).toString('utf8');
    if (sha256Of(text) !== sha256) throw this.#unreadable(`manifest ${sha256} does not have this hash`);
    return this.#parsed(parseManifest(text));
  }

  async shards(manifest: Manifest, base: Shards | undefined): Promise<Shards> {
    const load = async (kind: ServiceKind): Promise<ShardDirectory> => {
      const held = base?.[kind];
      const sha256 = manifest.shards[kind];
      if (held !== undefined && directoryName(held) === sha256) return held;
      const fresh = await this.#part(sha256, parseShardDirectory);
      return named(shareDirectory(held, fresh), sha256);
    };
    const [aggregate, projection, runner] = await Promise.all([load('aggregate'), load('projection'), load('runner')]);
    return { aggregate, projection, runner };
  }

  async placements(manifest: Manifest, base: PlacementTable): Promise<PlacementTable> {
    const wanted = [...manifest.placements.entries()].filter(
      ([index, sha256]) => bucketName(base.bucket(index)) !== sha256,
    );
    const load = async ([index, sha256]: [number, string]): Promise<[number, PlacementBucket]> => [
      index,
      named(await this.#part(sha256, (text) => parsePlacementChunk(text, index)), sha256),
    ];
    return base.withBuckets(new Map(await mapBounded(wanted, LIMITS.routingPartsInFlightMaxCount, load)));
  }

  async #part<Part>(sha256: string, parse: (text: string) => Result<Part, DamagedPart>): Promise<Part> {
    const record = await this.#store.get(chunkKey(sha256));
    if (record === undefined) throw this.#unreadable(`chunk ${sha256} is missing`);
    const text = await unpack(record.value).catch((cause: unknown) => {
      throw this.#unreadable(`chunk ${sha256} cannot be unpacked`, { cause });
    });
    // Many parts are unpacked side by side: what this thread has to do with each must not come in one go.
    return runInTurn(() => {
      if (sha256Of(text) !== sha256) throw this.#unreadable(`chunk ${sha256} does not have this hash`);
      return this.#parsed(parse(text));
    });
  }

  #parsed<Value>(result: Result<Value, DamagedPart>): Value {
    if (result.ok) return result.value;
    throw this.#unreadable(`${result.error.part}: ${result.error.reason}`);
  }

  #unreadable(reason: string, options?: ErrorOptions): RevisionUnreadable {
    return new RevisionUnreadable(this.#revision, reason, options);
  }
}
