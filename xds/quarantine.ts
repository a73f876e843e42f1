import type { ServiceKind } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { shardDocument } from '#domain/routing/shard-settings.ts';
import type { Shard } from '#domain/routing/types.ts';
import type { QuarantinedShard } from '#ports/replica-board.ts';

/** What is known of an entry that nobody is to get as it stands. */
export interface Refusal {
  readonly kind: ServiceKind;
  readonly shardName: string;
  /** The entry as the document has it. */
  readonly shard: Shard;
  /** The entry that Envoys have instead. */
  readonly good: Shard | undefined;
  /** What was refused: the endpoints alone, the cluster, or (undefined) it was never encoded. */
  readonly type: 'cluster' | 'endpoint' | undefined;
  readonly error: string;
  readonly node: string | undefined;
  readonly revision: number;
  readonly atMs: number;
}

/** The record of a refusal, as operators see it. */
export function quarantineRecord(refusal: Refusal): QuarantinedShard {
  const { kind, shardName, good, node } = refusal;
  return {
    kind,
    shard: shardName,
    sinceRevision: refusal.revision,
    pointer: pointerTo(refusal),
    error: refusal.error.slice(0, LIMITS.quarantineErrorMaxChars),
    at: new Date(refusal.atMs).toISOString(),
    serving: good === undefined ? 'nothing' : 'last_good',
    ...(node === undefined ? {} : { node }),
  };
}

/**
 * The entry, and in it the endpoint that the error speaks of, or the one setting in which it differs from its last good
 * value. With several differences nobody knows which one it was, so none is blamed.
 */
function pointerTo({ kind, shardName, shard, good, type, error }: Refusal): string {
  const entry = [`${kind}_shards`, shardName];
  const words = new Set(error.split(/[^A-Za-z0-9_.:-]+/).map((word) => word.replace(/[.:]+$/, '')));
  const endpoint = shard.endpoints.findIndex(({ address }) => words.has(address));
  if (endpoint >= 0) return pointer([...entry, 'endpoints', String(endpoint)]);
  const path = good === undefined ? [] : onlyDifference(shardDocument(good), shardDocument(shard));
  if (path.length > 0) return pointer([...entry, ...path]);
  return pointer(type === 'endpoint' ? [...entry, 'endpoints'] : entry);
}

/** The way to the one member in which two values differ; it ends where more than one does. */
function onlyDifference(before: unknown, after: unknown): readonly string[] {
  if (!isObject(before) || !isObject(after)) return [];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const different = names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  const [only] = different;
  if (different.length !== 1 || only === undefined) return [];
  return [only, ...onlyDifference(before[only], after[only])];
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const pointer = (path: readonly string[]): string =>
  path.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
