import { SERVICE_KINDS, type ServiceKind } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import { inSlices, type Steps } from '../../steps.ts';
import { DOCUMENT_MEMBERS } from '../parse-routing-document.ts';
import type { PlacementTable } from '../placement-table.ts';
import { shardDocument } from '../shard-settings.ts';
import type { RoutingSnapshot, ShardDirectory } from '../types.ts';

/**
 * The contract document of a revision as JSON text: what `toDocument` gives, in steps, and without its objects of
 * hundreds of thousands of members. Names are in code unit order.
 */
export function* documentText({ shards, placements }: Pick<RoutingSnapshot, 'shards' | 'placements'>): Steps<string> {
  const pieces: string[] = [];
  const tenants = yield* tenantsInOrder(placements);
  for (const kind of SERVICE_KINDS) {
    const members = DOCUMENT_MEMBERS[kind];
    pieces.push(pieces.length === 0 ? '{' : ',', `"${members.placement}":{`);
    let isFirst = true;
    for (const slice of inSlices(tenants, LIMITS.routingSliceMaxCount)) {
      const text = spellPlacements(slice, placements, kind);
      if (text !== '') pieces.push(isFirst ? '' : ',', text);
      isFirst &&= text === '';
      yield;
    }
    pieces.push(`},"${members.shards}":{`);
    yield* spellShards(shards[kind], pieces);
    pieces.push('}');
  }
  pieces.push('}');
  return pieces.join('');
}

/** One flat text of a slice, so that what is put together at the end are few. */
function spellPlacements(tenants: readonly string[], placements: PlacementTable, kind: ServiceKind): string {
  const members: string[] = [];
  for (const tenant of tenants) {
    const placement = placements.get(tenant)?.[kind];
    // Names need no escaping: their grammar has no character that JSON would escape.
    if (placement !== undefined) members.push(`"${tenant}":"${placement.shard}"`);
  }
  return members.join(',');
}

function* spellShards(shards: ShardDirectory, pieces: string[]): Steps<void> {
  let before = '';
  for (const name of [...shards.keys()].sort()) {
    const shard = shards.get(name);
    if (shard === undefined) continue;
    pieces.push(`${before}"${name}":${JSON.stringify(shardDocument(shard))}`);
    before = ',';
    yield;
  }
}

/** Sorts the tenants of each bucket, then merges two and two lists: no step is as long as a sort of all. */
function* tenantsInOrder(placements: PlacementTable): Steps<readonly string[]> {
  let lists: (readonly string[])[] = [];
  for (let index = 0; index < LIMITS.placementChunksCount; index += 1) {
    lists.push([...placements.bucket(index).keys()].sort());
    yield;
  }
  while (lists.length > 1) {
    const merged: (readonly string[])[] = [];
    for (let index = 0; index < lists.length; index += 2) {
      merged.push(yield* merge(lists[index] ?? [], lists[index + 1] ?? []));
    }
    lists = merged;
  }
  return lists[0] ?? [];
}

function* merge(left: readonly string[], right: readonly string[]): Steps<readonly string[]> {
  const merged: string[] = [];
  for (let [fromLeft, fromRight] = [0, 0]; merged.length < left.length + right.length; ) {
    const [one, other] = [left[fromLeft], right[fromRight]];
    const takesLeft = other === undefined || (one !== undefined && one < other);
    merged.push((takesLeft ? one : other) ?? '');
    if (takesLeft) fromLeft += 1;
    else fromRight += 1;
    if (merged.length % LIMITS.routingSliceMaxCount === 0) yield;
  }
  return merged;
}
