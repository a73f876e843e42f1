import { SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { runToEnd, type Steps } from '../steps.ts';
import { DOCUMENT_MEMBERS, type RoutingDocument } from './parse-routing-document.ts';
import {
  bucketDifferences,
  differences,
  differingBuckets,
  EMPTY_PLACEMENTS,
  type PlacementTable,
} from './placement-table.ts';
import { shardDocument } from './shard-settings.ts';
import type { KindRevisions, PlacementChange, RevisionNote, RoutingSnapshot, Shard, ShardDirectory } from './types.ts';

/** A revision before it is hashed: whoever publishes it names its manifest. */
export type RevisionDraft = Omit<RoutingSnapshot, 'manifest'>;

type Shards = Readonly<Record<ServiceKind, ShardDirectory>>;

const NO_SHARDS: ShardDirectory = new Map();

/**
 * The revision after `parent` with the content of a whole document; undefined when `parent` has that content already.
 * Whatever is equal in both is shared by identity: shards, directories, tenant entries, buckets.
 */
export function* revisionFromDocumentInSteps(
  parent: RoutingSnapshot | undefined,
  document: RoutingDocument,
  note: RevisionNote,
): Steps<RevisionDraft | undefined> {
  const shards = mapKinds((kind) => shareDirectory(parent?.shards[kind], document.shards[kind]));
  const table = parent?.placements ?? EMPTY_PLACEMENTS;
  const placements = yield* table.withAllInSteps(document.placements, nextNumber(parent));
  return yield* successor(parent, { shards, placements }, note);
}

/** The revision after `parent` with some tenants placed anew; undefined when all of them are there already. */
export function revisionFromChanges(
  parent: RoutingSnapshot,
  changes: readonly PlacementChange[],
  note: RevisionNote,
): RevisionDraft | undefined {
  const placements = parent.placements.with(changes, nextNumber(parent));
  return runToEnd(successor(parent, { shards: parent.shards, placements }, note));
}

/**
 * The revision after `parent` with the content of an earlier one; undefined when nothing differs. It is a new revision:
 * tenants that move get its number as epoch, because nodes refuse epochs older than the newest they saw.
 */
export function* revisionFromRollbackInSteps(
  parent: RoutingSnapshot,
  target: RoutingSnapshot,
  note: RevisionNote,
): Steps<RevisionDraft | undefined> {
  const shards = mapKinds((kind) => shareDirectory(parent.shards[kind], target.shards[kind]));
  const placements = yield* parent.placements.withPlacementsOfInSteps(target.placements, nextNumber(parent));
  return yield* successor(parent, { shards, placements }, note);
}

/**
 * What a reader that holds `parent` has to change to have `next`, when that is few placements and nothing else;
 * undefined when there are more than `inlineChangesMaxCount` or the shards differ.
 */
export function inlineChanges(
  parent: RoutingSnapshot | undefined,
  next: RevisionDraft,
): readonly PlacementChange[] | undefined {
  if (parent === undefined || SERVICE_KINDS.some((kind) => parent.shards[kind] !== next.shards[kind])) return undefined;
  const changes: PlacementChange[] = [];
  for (const { tenant, before, after } of differences(parent.placements, next.placements)) {
    if (changes.length === LIMITS.inlineChangesMaxCount) return undefined;
    const targets: Partial<Record<ServiceKind, string | null>> = {};
    for (const kind of SERVICE_KINDS) {
      const shard = after?.[kind]?.shard;
      if (shard !== before?.[kind]?.shard) targets[kind] = shard ?? null;
    }
    changes.push({ tenant, ...targets });
  }
  return changes;
}

/** The contract document (design section 4) of a revision, names in order; parsing it gives the same content again. */
export function toDocument(snapshot: Pick<RoutingSnapshot, 'shards' | 'placements'>): Record<string, unknown> {
  const document: Record<string, Record<string, unknown>> = {};
  for (const kind of SERVICE_KINDS) {
    const members = DOCUMENT_MEMBERS[kind];
    document[members.placement] = Object.fromEntries(sortedByName(placedFor(snapshot.placements, kind)));
    document[members.shards] = Object.fromEntries(
      sortedByName(snapshot.shards[kind]).map(([name, shard]) => [name, shardDocument(shard)]),
    );
  }
  return document;
}

/**
 * `fresh`, with each shard object that `held` has in equal form taken from there; `held` itself when all are equal.
 * Names are in order, so that replicas iterate alike.
 */
export function shareDirectory(held: ShardDirectory | undefined, fresh: ShardDirectory): ShardDirectory {
  const shared = new Map(
    sortedByName(fresh).map(([name, shard]) => {
      const old = held?.get(name);
      return [name, old !== undefined && equalShards(old, shard) ? old : shard] as const;
    }),
  );
  if (held === undefined) return shared.size === 0 ? NO_SHARDS : shared;
  const unchanged = held.size === shared.size && [...shared].every(([name, shard]) => held.get(name) === shard);
  return unchanged ? held : shared;
}

/** Whether two shards are the same to everybody, endpoints in the same order; true of every member they ever get. */
const equalShards = (left: Shard, right: Shard): boolean => equalData(left, right);

/** Plain data with equal members, in whatever order. */
function equalData(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  const [some, others] = [Object.entries(left), new Map(Object.entries(right))];
  return (
    some.length === others.size && some.every(([name, value]) => others.has(name) && equalData(value, others.get(name)))
  );
}

function* successor(
  parent: RoutingSnapshot | undefined,
  content: { readonly shards: Shards; readonly placements: PlacementTable },
  note: RevisionNote,
): Steps<RevisionDraft | undefined> {
  const changed = yield* changedKinds(parent, content);
  if (parent !== undefined && changed.size === 0) return undefined;
  const revision = nextNumber(parent);
  const kindRevisions: KindRevisions = mapKinds((kind) =>
    parent === undefined || changed.has(kind) ? revision : parent.kindRevisions[kind],
  );
  const { at, by, note: text } = note;
  return { revision, parent: parent?.revision ?? 0, kindRevisions, at, by, note: text, ...content };
}

function* changedKinds(
  parent: RoutingSnapshot | undefined,
  content: { readonly shards: Shards; readonly placements: PlacementTable },
): Steps<ReadonlySet<ServiceKind>> {
  const changed = new Set(SERVICE_KINDS.filter((kind) => parent?.shards[kind] !== content.shards[kind]));
  if (parent === undefined) return changed;
  const [old, fresh] = [parent.placements, content.placements];
  for (const index of differingBuckets(old, fresh)) {
    for (const { before, after } of bucketDifferences(old.bucket(index), fresh.bucket(index))) {
      for (const kind of SERVICE_KINDS) if (before?.[kind]?.shard !== after?.[kind]?.shard) changed.add(kind);
      if (changed.size === SERVICE_KINDS.length) return changed;
    }
    yield;
  }
  return changed;
}

function* placedFor(placements: PlacementTable, kind: ServiceKind): IterableIterator<readonly [string, string]> {
  for (const [tenant, placed] of placements.entries()) {
    const placement = placed[kind];
    if (placement !== undefined) yield [tenant, placement.shard];
  }
}

const nextNumber = (parent: RoutingSnapshot | undefined): number => (parent?.revision ?? 0) + 1;

/** By code units, which for our ASCII names is the one order that does not depend on a locale. */
const sortedByName = <Value>(entries: Iterable<readonly [string, Value]>): (readonly [string, Value])[] =>
  [...entries].sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));

const mapKinds = <Value>(make: (kind: ServiceKind) => Value): Record<ServiceKind, Value> => ({
  aggregate: make('aggregate'),
  projection: make('projection'),
  runner: make('runner'),
});
