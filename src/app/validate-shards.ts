import { type FieldError, type Outcome, refuse, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { pointerTo } from '#domain/routing/mistakes.ts';
import { DOCUMENT_MEMBERS } from '#domain/routing/parse-routing-document.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { changedShards, type ShardVerdict } from '#domain/routing/validation/shard-validation.ts';
import type { ShardValidator } from '#ports/shard-validator.ts';

/** What an answer to a publication says of its validation by Envoy; nothing when no Envoy was to be asked. */
export interface ShardValidation {
  readonly validation?: 'valid' | 'unavailable';
  /** Why there is no verdict. */
  readonly validation_detail?: string;
}

/**
 * Has the shards validated that would change. Fails with `validation_failed` and one entry per shard when Envoy refuses
 * some; one that cannot be asked stops nobody, because a shard it would refuse is quarantined after all.
 */
export async function validateShards(
  validator: ShardValidator | undefined,
  held: Pick<RoutingSnapshot, 'shards'> | undefined,
  wanted: Pick<RoutingSnapshot, 'shards'> | undefined,
): Promise<Outcome<ShardValidation>> {
  if (validator === undefined || wanted === undefined || !validator.isThere()) return succeed({});
  const shards = changedShards(held?.shards, wanted.shards);
  const verdict = shards.length === 0 ? undefined : await validator.validate(shards);
  if (verdict === undefined) return succeed({});
  if (verdict.state === 'valid') return succeed({ validation: 'valid' });
  if (verdict.state === 'unavailable') {
    return succeed({ validation: 'unavailable', validation_detail: verdict.detail });
  }
  return refuse('validation_failed', 'Envoy refuses shards of this revision', mistakesOf(verdict));
}

function mistakesOf({ refused, untold }: Extract<ShardVerdict, { state: 'invalid' }>): readonly FieldError[] {
  const code = 'refused_by_envoy';
  const told = refused.slice(0, LIMITS.routingErrorsMaxCount - 1).map(({ kind, name, error }) => ({
    pointer: pointerTo(DOCUMENT_MEMBERS[kind].shards, name),
    code,
    detail: `Envoy refuses it: ${error}`,
  }));
  const count = refused.length - told.length + (untold?.count ?? 0);
  if (count === 0) return told;
  const error = untold?.error ?? refused.at(-1)?.error ?? '';
  return [...told, { pointer: '', code, detail: `Envoy refuses at least one of ${count} more shards: ${error}` }];
}
