import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdCompress, zstdCompressSync, zstdDecompress } from 'node:zlib';
import { LIMITS } from '#domain/limits.ts';
import { type Manifest, manifestText, shardDirectoryText, spellPlacementChunk } from '#domain/routing/canonical.ts';
import type { PlacementBucket } from '#domain/routing/placement-table.ts';
import { AsciiText } from '#domain/routing/text/ascii-text.ts';
import type { RoutingSnapshot, ShardDirectory } from '#domain/routing/types.ts';
import { runToEnd, type Steps } from '#domain/steps.ts';

/** A revision's manifest and the name it is stored under. */
export interface NamedManifest extends Pick<Manifest, 'placements' | 'shards'> {
  readonly sha256: string;
  readonly text: string;
}

const compressed = promisify(zstdCompress);
const decompressed = promisify(zstdDecompress);

/**
 * Names of parts already hashed. Parts are immutable and shared between successive revisions, so after one move only
 * one chunk is hashed again; the entry goes with the part. It is a memo of a pure function, hence safe to share.
 */
const names = new WeakMap<PlacementBucket | ShardDirectory, string>();

export const sha256Of = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** Where buckets are spelled to be hashed, one at a time. */
const scratch = new AsciiText();

/** The SHA-256 of a bucket's canonical text. */
export const bucketName = (bucket: PlacementBucket): string => nameOf(bucket, bytesOf);

function bytesOf(bucket: PlacementBucket): Uint8Array {
  scratch.clear();
  spellPlacementChunk(bucket, scratch.add);
  return scratch.bytes;
}

/** The SHA-256 of a shard directory's canonical text. */
export const directoryName = (shards: ShardDirectory): string => nameOf(shards, shardDirectoryText);

/** Notes the name a part was stored under and checked against, so that it is not hashed again. */
export function named<Part extends PlacementBucket | ShardDirectory>(part: Part, sha256: string): Part {
  if (!names.has(part)) names.set(part, sha256);
  return part;
}

function nameOf<Part extends PlacementBucket | ShardDirectory>(
  part: Part,
  content: (part: Part) => string | Uint8Array,
): string {
  const known = names.get(part);
  if (known !== undefined) return known;
  const name = sha256Of(content(part));
  names.set(part, name);
  return name;
}

/** The manifest of a revision; hashes only parts that were not hashed before. */
export const manifestOf = (content: Pick<RoutingSnapshot, 'placements' | 'shards'>): NamedManifest =>
  runToEnd(manifestInSteps(content));

/** The same in steps, for a revision with many new parts. */
export function* manifestInSteps({
  placements,
  shards,
}: Pick<RoutingSnapshot, 'placements' | 'shards'>): Steps<NamedManifest> {
  const buckets: string[] = [];
  for (let index = 0; index < LIMITS.placementChunksCount; index += 1) {
    buckets.push(bucketName(placements.bucket(index)));
    yield;
  }
  const parts = {
    placements: buckets,
    shards: {
      aggregate: directoryName(shards.aggregate),
      projection: directoryName(shards.projection),
      runner: directoryName(shards.runner),
    },
  };
  const text = manifestText(parts);
  return { ...parts, text, sha256: sha256Of(text) };
}

/**
 * A part as it is stored: zstd of its canonical text. Small ones are packed at once: that takes less of this thread
 * than handing them to others, and hundreds of them in other threads would take the processor from it.
 */
export async function pack(text: string): Promise<Uint8Array> {
  const bytes = Buffer.from(text);
  return bytes.length <= LIMITS.routingPartPackedAtOnceMaxBytes ? zstdCompressSync(bytes) : compressed(bytes);
}

/** The text of a stored part. @throws an Error of node:zlib when it is damaged or larger than `routingPartMaxBytes` */
export async function unpack(bytes: Uint8Array): Promise<string> {
  const text = await decompressed(bytes, { maxOutputLength: LIMITS.routingPartMaxBytes });
  return text.toString('utf8');
}
