import { isShardName, isTenantId, SERVICE_KINDS, type ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../result.ts';
import { type DamagedPart, isRevisionNumber, isSha256, parseObject } from './canonical.ts';
import { isJsonObject } from './mistakes.ts';
import type { KindRevisions, PlacementChange, RoutingSnapshot } from './types.ts';

/** The value of the key `head`, and of `rev.<n>`: one revision without its contents, which the manifest names. */
export interface Head extends Pick<RoutingSnapshot, 'revision' | 'parent' | 'manifest' | 'kindRevisions'> {
  readonly schema: 1;
  readonly at: string;
  readonly by: string;
  readonly note: string;
  /** All that differs from the parent, when that is little: a reader that holds the parent needs no other record. */
  readonly changes?: readonly PlacementChange[];
}

/** What an operator may put into `head` by hand: a routing document that still has to become a revision. */
interface InlineHead {
  readonly table: unknown;
  readonly note: string;
}

export type HeadRecord =
  | { readonly form: 'revision'; readonly head: Head }
  | { readonly form: 'inline'; readonly inline: InlineHead };

/** The stored text of a head. */
export function headText(head: Head): string {
  const { schema, revision, parent, manifest, kindRevisions, at, by, note, changes } = head;
  return JSON.stringify({
    schema,
    revision,
    parent,
    manifest,
    kindRevisions,
    at,
    by,
    note,
    ...(changes && { changes }),
  });
}

/** Reads a head of schema 1, or a table put there by hand (`{"table":{...},"note"?}`). */
export function parseHead(text: string): Result<HeadRecord, DamagedPart> {
  const damaged = (reason: string) => fail<DamagedPart>({ part: 'head', reason });
  const object = parseObject(text);
  if (object === undefined) return damaged('is not a JSON object');
  if ('table' in object) {
    const note = typeof object['note'] === 'string' ? object['note'].slice(0, LIMITS.noteMaxChars) : '';
    return ok({ form: 'inline', inline: { table: object['table'], note } });
  }
  if (object['schema'] !== 1) return damaged('is neither a head of schema 1 nor {"table": ...}');
  const { revision, parent, manifest, at, by, note } = object;
  const kindRevisions = parseKindRevisions(object['kindRevisions']);
  if (!isRevisionNumber(revision) || !isRevisionNumber(parent) || parent >= revision) return damaged('has bad numbers');
  if (!isSha256(manifest)) return damaged('names no manifest');
  if (kindRevisions === undefined) return damaged('has no kindRevisions');
  if (typeof at !== 'string' || typeof by !== 'string' || typeof note !== 'string')
    return damaged('lacks at, by or note');
  const head: Head = { schema: 1, revision, parent, manifest, kindRevisions, at, by, note };
  const changes = object['changes'] === undefined ? undefined : parseInlineChanges(object['changes']);
  return ok({ form: 'revision', head: changes === undefined ? head : { ...head, changes } });
}

function parseKindRevisions(value: unknown): KindRevisions | undefined {
  if (!isJsonObject(value)) return undefined;
  const { aggregate, projection, runner } = value;
  return isRevisionNumber(aggregate) && isRevisionNumber(projection) && isRevisionNumber(runner)
    ? { aggregate, projection, runner }
    : undefined;
}

/** Undefined when anything is odd: the changes only save work, the manifest says what is right. */
function parseInlineChanges(value: unknown): readonly PlacementChange[] | undefined {
  if (!Array.isArray(value) || value.length > LIMITS.inlineChangesMaxCount) return undefined;
  const changes = value.map(parseInlineChange).filter((change) => change !== undefined);
  return changes.length === value.length ? changes : undefined;
}

function parseInlineChange(value: unknown): PlacementChange | undefined {
  if (!isJsonObject(value)) return undefined;
  const { tenant } = value;
  if (typeof tenant !== 'string' || !isTenantId(tenant)) return undefined;
  const targets: Partial<Record<ServiceKind, string | null>> = {};
  for (const kind of SERVICE_KINDS) {
    const target = value[kind];
    if (target === null || (typeof target === 'string' && isShardName(target))) targets[kind] = target;
    else if (target !== undefined) return undefined;
  }
  return { tenant, ...targets };
}
