import type { FieldError } from '../errors.ts';
import { isShardName, isTenantId, SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../result.ts';
import { inSlices, type Steps } from '../steps.ts';
import { described, type JsonObject, Mistakes, objectAt, refuseUnknownMembers } from './mistakes.ts';
import { parseShard } from './parse-shard.ts';
import type { WantedPlacements } from './placement-table.ts';
import type { Shard, ShardDirectory } from './types.ts';

/** A valid routing document: every placement leads to a shard of its kind that has endpoints. */
export interface RoutingDocument {
  readonly shards: Readonly<Record<ServiceKind, ShardDirectory>>;
  readonly placements: ReadonlyMap<string, WantedPlacements>;
}

/** The two members of the document for each kind. */
export const DOCUMENT_MEMBERS = {
  aggregate: { placement: 'aggregate_placement', shards: 'aggregate_shards' },
  projection: { placement: 'projection_placement', shards: 'projection_shards' },
  runner: { placement: 'runner_placement', shards: 'runner_shards' },
} as const satisfies Record<ServiceKind, { placement: string; shards: string }>;

const MEMBER_NAMES = SERVICE_KINDS.flatMap((kind) => [DOCUMENT_MEMBERS[kind].placement, DOCUMENT_MEMBERS[kind].shards]);

interface NamedShards {
  readonly shards: ShardDirectory;
  readonly named: ReadonlySet<string>;
  readonly empty: ReadonlySet<string>;
}

/** A tenant on a shard without endpoints, and how many there are. */
interface OnEmpty {
  readonly first: string;
  readonly count: number;
}

interface Reading {
  readonly root: JsonObject;
  readonly mistakes: Mistakes;
  readonly placements: Map<string, Partial<Record<ServiceKind, string>>>;
}

/**
 * Reads the routing document (design section 4) from parsed JSON or YAML. A missing top-level member means empty,
 * an unknown one is a mistake. The whole document is refused with all its mistakes at once, or none of it. Nobody may
 * change `value` meanwhile.
 */
export function* parseRoutingDocumentInSteps(value: unknown): Steps<Result<RoutingDocument, readonly FieldError[]>> {
  const mistakes = new Mistakes();
  const root = objectAt(value, [], mistakes);
  if (root === undefined) return fail(mistakes.list());
  refuseUnknownMembers(root, { known: MEMBER_NAMES, at: [], mistakes });
  const reading: Reading = { root, mistakes, placements: new Map() };
  const shards = {
    aggregate: yield* readKind(reading, 'aggregate'),
    projection: yield* readKind(reading, 'projection'),
    runner: yield* readKind(reading, 'runner'),
  };
  if (reading.placements.size > LIMITS.tenantsMaxCount) {
    mistakes.add([], 'too_many', `places ${reading.placements.size} tenants, at most ${LIMITS.tenantsMaxCount} may be`);
  }
  return mistakes.count === 0 ? ok({ shards, placements: reading.placements }) : fail(mistakes.list());
}

/** The shards of one kind; its placements go to `reading.placements`. */
function* readKind(reading: Reading, kind: ServiceKind): Steps<ShardDirectory> {
  const { shards, named, empty } = yield* readShards(reading, kind);
  const tenantsOnEmpty = yield* readPlacements(reading, kind, { named, empty });
  for (const [shard, tenants] of tenantsOnEmpty) {
    const others = tenants.count > 1 ? ` and ${tenants.count - 1} more` : '';
    reading.mistakes.add(
      [DOCUMENT_MEMBERS[kind].shards, shard, 'endpoints'],
      'empty_shard',
      `is empty, but tenant ${tenants.first}${others} is placed on this shard`,
    );
  }
  return shards;
}

/**
 * `named` holds every shard that has an entry, a mistaken one too: a placement onto it is not one more mistake.
 */
function* readShards(reading: Reading, kind: ServiceKind): Steps<NamedShards> {
  const member = DOCUMENT_MEMBERS[kind].shards;
  const shards = new Map<string, Shard>();
  const named = new Set<string>();
  const empty = new Set<string>();
  const object = memberObject(reading, member);
  const names = Object.keys(object);
  if (names.length > LIMITS.shardsPerKindMaxCount) {
    reading.mistakes.add(
      [member],
      'too_many',
      `has ${names.length} shards, at most ${LIMITS.shardsPerKindMaxCount} may be`,
    );
    return { shards, named: new Set(names), empty };
  }
  for (const name of names) {
    named.add(name);
    if (!isShardName(name)) reading.mistakes.add([member, name], 'invalid_shard_name', nameRule('shard name', name));
    const shard = parseShard(object[name], { kind, at: [member, name], mistakes: reading.mistakes });
    // A shard may have a thousand endpoints: one is a step.
    yield;
    if (shard === undefined) continue;
    shards.set(name, shard);
    if (shard.endpoints.length === 0) empty.add(name);
  }
  return { shards, named, empty };
}

/** @returns for each shard without endpoints that is placed on: one tenant and how many there are. */
function* readPlacements(
  reading: Reading,
  kind: ServiceKind,
  { named, empty }: Pick<NamedShards, 'named' | 'empty'>,
): Steps<ReadonlyMap<string, OnEmpty>> {
  const onEmpty = new Map<string, OnEmpty>();
  const object = memberObject(reading, DOCUMENT_MEMBERS[kind].placement);
  // The one step that grows with the document: about ten milliseconds for 100,000 tenants.
  yield 'long';
  for (const tenants of inSlices(Object.keys(object), LIMITS.routingSliceMaxCount)) {
    for (const tenant of tenants) {
      const shard = readPlacement(reading, kind, { tenant, shard: object[tenant], named });
      if (shard === undefined || !empty.has(shard)) continue;
      const seen = onEmpty.get(shard);
      onEmpty.set(shard, { first: seen?.first ?? tenant, count: (seen?.count ?? 0) + 1 });
    }
    yield;
  }
  return onEmpty;
}

/** @returns the name of the shard, which need not exist */
function readPlacement(
  { mistakes, placements }: Reading,
  kind: ServiceKind,
  { tenant, shard, named }: { tenant: string; shard: unknown; named: ReadonlySet<string> },
): string | undefined {
  const { placement: member, shards } = DOCUMENT_MEMBERS[kind];
  if (!isTenantId(tenant)) mistakes.add([member, tenant], 'invalid_tenant_id', nameRule('tenant id', tenant));
  if (typeof shard !== 'string') {
    mistakes.add([member, tenant], 'wrong_type', `must be the name of a shard, not ${described(shard)}`);
    return undefined;
  }
  if (!named.has(shard)) mistakes.add([member, tenant], 'unknown_shard', `${described(shard)} is not in ${shards}`);
  const wanted = placements.get(tenant);
  if (wanted === undefined) placements.set(tenant, { [kind]: shard });
  else wanted[kind] = shard;
  return shard;
}

/** A top-level member, empty where it is missing or mistaken. */
function memberObject({ root, mistakes }: Pick<Reading, 'root' | 'mistakes'>, member: string): JsonObject {
  const value = root[member];
  return value === undefined ? {} : (objectAt(value, [member], mistakes) ?? {});
}

const nameRule = (what: string, name: string): string =>
  `${described(name)} is not a ${what}: 1 to 63 of a-z, 0-9, _ and -, with a letter or digit at both ends`;
