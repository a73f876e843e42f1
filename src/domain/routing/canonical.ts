import { isShardName, isTenantId, SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../result.ts';
import { isJsonObject, type JsonObject, Mistakes } from './mistakes.ts';
import { parseShard } from './parse-shard.ts';
import { bucketOf, type PlacementBucket } from './placement-table.ts';
import { shardDocument } from './shard-settings.ts';
import type { Placement, Shard, ShardDirectory, TenantPlacements } from './types.ts';

/**
 * The one spelling of each stored part of a revision: JSON without spaces, members in code unit order. Equal contents
 * have equal bytes and therefore equal SHA-256 names, in every process and for ever.
 */

/** Why a stored part is not what it should be: damaged, or written by something else. */
export interface DamagedPart {
  readonly part: 'placements' | 'shards' | 'manifest' | 'head';
  readonly reason: string;
}

/** Names the parts of a revision by the SHA-256 (hex) of their canonical text. */
export interface Manifest {
  readonly schema: 1;
  readonly placements: readonly string[];
  readonly shards: Readonly<Record<ServiceKind, string>>;
}

const KINDS_IN_ORDER: readonly ServiceKind[] = [...SERVICE_KINDS].sort();
const SHA256_HEX = /^[0-9a-f]{64}$/;

export const isSha256 = (value: unknown): value is string => typeof value === 'string' && SHA256_HEX.test(value);

/** One bucket: `{"acme":{"aggregate":["s1",7],"projection":["s1",2]},...}`, shard and epoch per kind. */
export function placementChunkText(bucket: PlacementBucket): string {
  const pieces: string[] = [];
  spellPlacementChunk(bucket, (piece) => pieces.push(piece));
  return pieces.join('');
}

/**
 * The same, piece by piece. Every move hashes the chunk of a few hundred tenants in every process, so no text is made
 * of it there. All pieces are ASCII, and names need no escaping: their grammar has no character that JSON would escape.
 */
export function spellPlacementChunk(bucket: PlacementBucket, add: (piece: string) => void): void {
  let before = '{"';
  for (const tenant of inOrder(bucket)) {
    add(before);
    add(tenant);
    spellPlacements(bucket.get(tenant) ?? {}, add);
    before = ',"';
  }
  add(bucket.size === 0 ? '{}' : '}');
}

function spellPlacements(placements: TenantPlacements, add: (piece: string) => void): void {
  add('":{');
  let before = '"';
  for (const kind of KINDS_IN_ORDER) {
    const placement = placements[kind];
    if (placement === undefined) continue;
    add(before);
    add(kind);
    add('":["');
    add(placement.shard);
    add('",');
    add(String(placement.epoch));
    add(']');
    before = ',"';
  }
  add('}');
}

/** The tenants in code unit order; most buckets have them in it already. */
function inOrder(bucket: PlacementBucket): readonly string[] {
  const tenants = Array.from(bucket.keys());
  for (let index = 1; index < tenants.length; index += 1) {
    if ((tenants[index - 1] ?? '') > (tenants[index] ?? '')) return tenants.sort();
  }
  return tenants;
}

/**
 * The shards of one kind: `{"s1":{"endpoints":[{"address","port","weight"}],"protocol"},...}`, with the settings that
 * each gives (docs/routing.md).
 */
export function shardDirectoryText(shards: ShardDirectory): string {
  const entries = [...shards].sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([name, shard]) => `"${name}":${JSON.stringify(shardDocument(shard))}`).join(',')}}`;
}

/** The manifest: `{"placements":[256 names],"schema":1,"shards":{"aggregate":...}}`. */
export function manifestText(parts: Pick<Manifest, 'placements' | 'shards'>): string {
  const shards = KINDS_IN_ORDER.map((kind) => `"${kind}":"${parts.shards[kind]}"`).join(',');
  return `{"placements":["${parts.placements.join('","')}"],"schema":1,"shards":{${shards}}}`;
}

/** Reads a chunk of bucket `index`. Tenants of another bucket and epochs below 1 are damage. */
export function parsePlacementChunk(text: string, index: number): Result<PlacementBucket, DamagedPart> {
  const damaged = (reason: string) => fail<DamagedPart>({ part: 'placements', reason: `bucket ${index}: ${reason}` });
  const object = parseObject(text);
  if (object === undefined) return damaged('is not a JSON object');
  const bucket = new Map<string, TenantPlacements>();
  for (const [tenant, value] of Object.entries(object)) {
    if (!isTenantId(tenant) || bucketOf(tenant) !== index) return damaged(`tenant ${tenant} does not belong here`);
    const placements = parsePlacements(value);
    if (placements === undefined) return damaged(`the placements of tenant ${tenant} are malformed`);
    bucket.set(tenant, placements);
  }
  return ok(bucket);
}

function parsePlacements(value: unknown): TenantPlacements | undefined {
  if (!isJsonObject(value)) return undefined;
  const placements: Partial<Record<ServiceKind, Placement>> = {};
  let count = 0;
  for (const kind of SERVICE_KINDS) {
    if (value[kind] === undefined) continue;
    const placement = parsePlacement(value[kind]);
    if (placement === undefined) return undefined;
    placements[kind] = placement;
    count += 1;
  }
  return count > 0 && count === Object.keys(value).length ? placements : undefined;
}

function parsePlacement(value: unknown): Placement | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [shard, epoch]: readonly unknown[] = value;
  return typeof shard === 'string' && isShardName(shard) && isRevisionNumber(epoch) && epoch > 0
    ? { shard, epoch }
    : undefined;
}

/** Reads the shards of one kind, by the rules of the routing document. */
export function parseShardDirectory(text: string): Result<ShardDirectory, DamagedPart> {
  const object = parseObject(text);
  if (object === undefined) return fail({ part: 'shards', reason: 'is not a JSON object' });
  const shards = new Map<string, Shard>();
  for (const [name, value] of Object.entries(object)) {
    const mistakes = new Mistakes();
    const shard = parseShard(value, { kind: undefined, at: [name], mistakes });
    if (!isShardName(name) || shard === undefined) {
      const first = mistakes.list()[0];
      return fail({
        part: 'shards',
        reason: `shard ${name} is malformed ${first?.pointer ?? ''} ${first?.detail ?? ''}`,
      });
    }
    shards.set(name, shard);
  }
  return ok(shards);
}

/** Reads a manifest of schema 1. */
export function parseManifest(text: string): Result<Manifest, DamagedPart> {
  const object = parseObject(text);
  if (object?.['schema'] !== 1) return fail({ part: 'manifest', reason: 'is not a manifest of schema 1' });
  const placements: readonly unknown[] = Array.isArray(object['placements']) ? object['placements'] : [];
  const names = placements.filter(isSha256);
  if (names.length !== LIMITS.placementChunksCount || placements.length !== names.length) {
    return fail({ part: 'manifest', reason: `does not name ${LIMITS.placementChunksCount} placement chunks` });
  }
  const shards = isJsonObject(object['shards']) ? object['shards'] : {};
  const { aggregate, projection, runner } = shards;
  if (!isSha256(aggregate) || !isSha256(projection) || !isSha256(runner)) {
    return fail({ part: 'manifest', reason: 'does not name the shards of all kinds' });
  }
  return ok({ schema: 1, placements: names, shards: { aggregate, projection, runner } });
}

/** A revision number or 0 (none). */
export const isRevisionNumber = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** The text as a JSON object; undefined when it is not JSON or another value. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
