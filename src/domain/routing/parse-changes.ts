import type { FieldError } from '../errors.ts';
import { isTenantId, SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../result.ts';
import { described, type JsonObject, Mistakes, objectAt, refuseUnknownMembers } from './mistakes.ts';
import type { PlacementChange, RoutingSnapshot } from './types.ts';

/** A small change of placements, checked against the revision it is to follow. */
export interface RequestedChanges {
  readonly changes: readonly PlacementChange[];
  readonly note?: string;
}

/**
 * Reads `{"changes":[{"tenant","aggregate?","projection?","runner?"}],"note?"}` against the current revision: a shard
 * name places the tenant, null unplaces it, an absent kind stays. All mistakes at once; an unknown or empty shard, a
 * tenant named twice and a change that names no kind are mistakes.
 */
export function parseChanges(
  value: unknown,
  current: RoutingSnapshot | undefined,
): Result<RequestedChanges, readonly FieldError[]> {
  const mistakes = new Mistakes();
  const root = objectAt(value, [], mistakes);
  if (root === undefined) return fail(mistakes.list());
  refuseUnknownMembers(root, { known: ['changes', 'note'], at: [], mistakes });
  const note = root['note'] === undefined ? undefined : parseNote(root['note'], mistakes);
  const changes = parseList(root['changes'], { current, mistakes });
  if (mistakes.count > 0) return fail(mistakes.list());
  return ok(note === undefined ? { changes } : { changes, note });
}

interface Reading {
  readonly current: RoutingSnapshot | undefined;
  readonly mistakes: Mistakes;
}

function parseNote(value: unknown, mistakes: Mistakes): string | undefined {
  if (typeof value !== 'string') mistakes.add(['note'], 'wrong_type', `must be a text, not ${described(value)}`);
  else if (value.length > LIMITS.noteMaxChars) {
    mistakes.add(['note'], 'too_many', `has ${value.length} characters, at most ${LIMITS.noteMaxChars} may be`);
  } else return value;
  return undefined;
}

function parseList(value: unknown, reading: Reading): readonly PlacementChange[] {
  const { mistakes } = reading;
  if (!Array.isArray(value) || value.length === 0) {
    if (value === undefined) mistakes.add(['changes'], 'missing', 'is required: a list of changes');
    else mistakes.add(['changes'], 'wrong_type', 'must be a list of at least one change');
    return [];
  }
  if (value.length > LIMITS.tenantsMaxCount) {
    mistakes.add(['changes'], 'too_many', `has ${value.length} changes, at most ${LIMITS.tenantsMaxCount} may be`);
    return [];
  }
  const changes: PlacementChange[] = [];
  const firstIndexes = new Map<string, number>();
  for (const [index, item] of value.entries()) {
    const change = parseChange(item, index, reading);
    if (change === undefined) continue;
    const first = firstIndexes.get(change.tenant);
    if (first === undefined) firstIndexes.set(change.tenant, index);
    else mistakes.add(['changes', index, 'tenant'], 'duplicate_tenant', `is in change ${first} already`);
    changes.push(change);
  }
  return changes;
}

function parseChange(value: unknown, index: number, reading: Reading): PlacementChange | undefined {
  const { mistakes } = reading;
  const at = ['changes', index];
  const object = objectAt(value, at, mistakes);
  if (object === undefined) return undefined;
  refuseUnknownMembers(object, { known: ['tenant', ...SERVICE_KINDS], at, mistakes });
  const targets: Partial<Record<ServiceKind, string | null>> = {};
  for (const kind of SERVICE_KINDS) {
    const target = parseTarget(object, { at, kind, reading });
    if (target !== undefined) targets[kind] = target;
  }
  if (SERVICE_KINDS.every((kind) => object[kind] === undefined)) {
    mistakes.add(at, 'missing', `changes nothing: name at least one of ${SERVICE_KINDS.join(', ')}`);
  }
  const tenant = object['tenant'];
  if (typeof tenant === 'string' && isTenantId(tenant)) return { tenant, ...targets };
  if (tenant === undefined) mistakes.add([...at, 'tenant'], 'missing', 'is required: a tenant id');
  else mistakes.add([...at, 'tenant'], 'invalid_tenant_id', `${described(tenant)} is not a tenant id`);
  return undefined;
}

function parseTarget(
  object: JsonObject,
  { at, kind, reading }: { at: readonly (string | number)[]; kind: ServiceKind; reading: Reading },
): string | null | undefined {
  const value = object[kind];
  if (value === undefined || value === null) return value;
  const where = [...at, kind];
  if (typeof value !== 'string') {
    reading.mistakes.add(where, 'wrong_type', `must be the name of a shard or null, not ${described(value)}`);
    return undefined;
  }
  const shard = reading.current?.shards[kind].get(value);
  if (shard === undefined) {
    const revision =
      reading.current === undefined ? 'nothing is published yet' : `revision ${reading.current.revision}`;
    reading.mistakes.add(where, 'unknown_shard', `${described(value)} is not a shard of kind ${kind} (${revision})`);
  } else if (shard.endpoints.length === 0) {
    reading.mistakes.add(where, 'empty_shard', `shard ${value} has no endpoints`);
  } else return value;
  return undefined;
}
