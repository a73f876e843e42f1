import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { LIMITS } from '#domain/limits.ts';
import { AsciiText } from '#domain/routing/ascii-text.ts';
import { type Manifest, manifestText, shardDirectoryText, spellPlacementChunk } from '#domain/routing/canonical.ts';
import type { PlacementBucket } from '#domain/routing/placement-table.ts';
import type { RoutingSnapshot, ShardDirectory } from '#domain/routing/types.ts';

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
export function manifestOf({ placements, shards }: Pick<RoutingSnapshot, 'placements' | 'shards'>): NamedManifest {
  const parts = {
    placements: Array.from({ length: LIMITS.placementChunksCount }, (_, index) => bucketName(placements.bucket(index))),
    shards: {
      aggregate: directoryName(shards.aggregate),
      projection: directoryName(shards.projection),
      runner: directoryName(shards.runner),
    },
  };
  const text = manifestText(parts);
  return { ...parts, text, sha256: sha256Of(text) };
}

/** A part as it is stored: zstd of its canonical text. */
export const pack = (text: string): Promise<Uint8Array> => compressed(Buffer.from(text));

/** The text of a stored part. @throws an Error of node:zlib when it is damaged or larger than `routingPartMaxBytes` */
export async function unpack(bytes: Uint8Array): Promise<string> {
  const text = await decompressed(bytes, { maxOutputLength: LIMITS.routingPartMaxBytes });
  return text.toString('utf8');
}
