import { isServiceKind, isShardName, SERVICE_KINDS, type ServiceKind } from '../../ids.ts';
import { isJsonObject, Mistakes } from '../mistakes.ts';
import { parseShard } from '../parse-shard.ts';
import { shareDirectory } from '../revision.ts';
import { shardDocument } from '../shard-settings.ts';
import type { Shard, ShardDirectory } from '../types.ts';

/**
 * What xds replicas that have an Envoy for it are asked about shards before these are published, and what they answer.
 * A validation takes longer than an answer may: the first question begins it, later ones name it.
 */

/** The name of the question; replicas of another version that do not know it do not answer. */
export const VALIDATE_QUESTION = 'routing.validate';

export interface ChangedShard {
  readonly kind: ServiceKind;
  readonly name: string;
  readonly shard: Shard;
}

/** `shards`: entries as `shardEntry` writes them, not read yet. `job`: how the answer called the validation. */
export type ValidationQuestion = { readonly shards: readonly unknown[] } | { readonly job: string };

export interface RefusedShard {
  readonly kind: ServiceKind;
  readonly name: string;
  /** In the words of Envoy or of our encoder. */
  readonly error: string;
}

export type ShardVerdict =
  | { readonly state: 'valid' }
  | {
      readonly state: 'invalid';
      readonly refused: readonly RefusedShard[];
      /** So many more shards hold at least one that is refused; there was no time to find out which. */
      readonly untold?: { readonly count: number; readonly error: string };
    }
  /** Nothing is known of the shards. */
  | { readonly state: 'unavailable'; readonly detail: string };

/** `none`: this replica has no Envoy to ask. */
export type ValidationAnswer = ShardVerdict | { readonly state: 'pending'; readonly job: string } | { state: 'none' };

type Shards = Readonly<Record<ServiceKind, ShardDirectory>>;

/** The shards of `wanted` that are new or differ from those in force. */
export const changedShards = (held: Shards | undefined, wanted: Shards): readonly ChangedShard[] =>
  SERVICE_KINDS.flatMap((kind) => {
    const before = held?.[kind];
    // Equal shards become those that are held.
    const after = shareDirectory(before, wanted[kind]);
    if (after === before) return [];
    return [...after]
      .filter(([name, shard]) => before?.get(name) !== shard)
      .map(([name, shard]) => ({ kind, name, shard }));
  });

/** A shard in a question. */
export const shardEntry = ({ kind, name, shard }: ChangedShard): Readonly<Record<string, unknown>> => ({
  kind,
  name,
  shard: shardDocument(shard),
});

/** Reads a shard out of a question; undefined when it is none to this version of the gateway. */
export function parseShardEntry(value: unknown): ChangedShard | undefined {
  if (!isJsonObject(value)) return undefined;
  const { kind, name } = value;
  if (typeof kind !== 'string' || !isServiceKind(kind) || typeof name !== 'string' || !isShardName(name)) {
    return undefined;
  }
  const shard = parseShard(value['shard'], { kind: undefined, at: [], mistakes: new Mistakes() });
  return shard && { kind, name, shard };
}

/** Reads the question; undefined when it is none. */
export function parseValidationQuestion(value: unknown): ValidationQuestion | undefined {
  if (!isJsonObject(value)) return undefined;
  const { job, shards } = value;
  if (typeof job === 'string') return { job };
  return Array.isArray(shards) ? { shards } : undefined;
}

/** Reads an answer; undefined when it is none. */
export function parseValidationAnswer(value: unknown): ValidationAnswer | undefined {
  if (!isJsonObject(value)) return undefined;
  const { state, job, detail } = value;
  if (state === 'valid' || state === 'none') return { state };
  if (state === 'pending' && typeof job === 'string') return { state, job };
  if (state === 'unavailable' && typeof detail === 'string') return { state, detail };
  return state === 'invalid' ? parseInvalid(value['refused'], value['untold']) : undefined;
}

function parseInvalid(refused: unknown, untold: unknown): ShardVerdict | undefined {
  if (!Array.isArray(refused)) return undefined;
  const { count, error } = isJsonObject(untold) ? untold : {};
  return {
    state: 'invalid',
    refused: refused.map(parseRefused).filter((each) => each !== undefined),
    ...(typeof count === 'number' && typeof error === 'string' ? { untold: { count, error } } : {}),
  };
}

function parseRefused(value: unknown): RefusedShard | undefined {
  if (!isJsonObject(value)) return undefined;
  const { kind, name, error } = value;
  if (typeof kind !== 'string' || !isServiceKind(kind)) return undefined;
  return typeof name === 'string' && typeof error === 'string' ? { kind, name, error } : undefined;
}
