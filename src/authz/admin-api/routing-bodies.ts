import type { RevisionDiff } from '#app/routing-diff.ts';
import type { DryRun } from '#app/routing-dry-run.ts';
import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { clusterName, SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { type DiffPage, isDiffCursor } from '#domain/routing/diff.ts';
import { documentText } from '#domain/routing/text/document-text.ts';
import type { Placement, RoutingSnapshot } from '#domain/routing/types.ts';
import { runInTurns } from '#platform/event-loop.ts';
import type { QuarantinedShard, ReplicaState } from '#ports/replica-board.ts';
import type { RevisionSummary } from '#ports/routing.ts';
import type { ApiAnswer, ApiCall } from '../http/api-route.ts';
import { applied, etag, id, pageLimit } from '../http/bodies.ts';
import { anyObject, flag, integer, list, nullable, object, text, time } from '../http/schema.ts';

/** How revisions, placements and replicas look in the admin API. */

const KIND_REVISIONS = object({ aggregate: integer(), projection: integer(), runner: integer() });

const SUMMARY = {
  revision: integer(),
  parent: integer(),
  kind_revisions: KIND_REVISIONS,
  manifest: text({ maxLength: 64, description: 'SHA-256 of the content' }),
  at: time(),
  by: text({ maxLength: 256 }),
  note: text({ maxLength: 1_000 }),
};

export const SUMMARY_SCHEMA = object(SUMMARY);

const REVISION_SCHEMA = object(
  {
    ...SUMMARY,
    tenants: integer('tenants placed for some kind'),
    shards: object({ aggregate: integer(), projection: integer(), runner: integer() }),
  },
  { document: anyObject('the routing document of this revision, where asked for') },
);

const VALIDATION = {
  validation: {
    json: {
      enum: ['valid', 'unavailable'],
      description: 'what an Envoy says of changed shards; absent where none is to be asked, or no shard changed',
    },
  },
  validation_detail: text({ maxLength: 1_000, description: 'why it says nothing' }),
} as const;

export const PUBLISHED_SCHEMA = object(
  {
    revision: integer(),
    kind_revisions: KIND_REVISIONS,
    changed: { json: { type: 'boolean', description: 'false: the current revision had this content already' } },
    applied,
  },
  VALIDATION,
);

export const REVISION_RESPONSES = {
  200: { description: 'Revision', schema: REVISION_SCHEMA },
  304: { description: 'Not changed' },
};

export const INCLUDE_QUERY = object(
  {},
  { include: { json: { enum: ['document'], description: 'adds the whole document' } } },
);

const NAMES = list(id('shard'));
const SHARD_DIFFERENCES = object({ added: NAMES, removed: NAMES, changed: NAMES });
const MOVE = object({
  tenant: id('tenant'),
  kind: { json: { enum: SERVICE_KINDS } },
  before: nullable(id('shard; null = not placed')),
  after: nullable(id('shard; null = not placed')),
});

const DIFF = {
  from: integer(),
  to: integer(),
  shards: object({ aggregate: SHARD_DIFFERENCES, projection: SHARD_DIFFERENCES, runner: SHARD_DIFFERENCES }),
  totals: object({
    shards: integer('shards added, removed or changed'),
    placements: integer('placements that differ, on all pages'),
    tenants: integer('tenants with such a placement'),
  }),
  items: list(MOVE),
};
const NEXT = { next_cursor: text({ maxLength: 300 }) };

export const DIFF_SCHEMA = object(DIFF, NEXT);

export const DRY_RUN_SCHEMA = object(
  {
    dry_run: { json: { const: true } },
    revision: integer('the revision it would come after'),
    changed: flag(),
    tenants_on_changed_shards: integer('tenants that stay on a shard whose endpoints or settings change'),
    ...DIFF,
  },
  { ...NEXT, ...VALIDATION },
);

const ENDPOINT = object({ address: text({ maxLength: 253 }), port: integer(), weight: integer() });
const PLACE = object({
  shard: id('shard'),
  cluster: text({ maxLength: 128 }),
  epoch: integer('the revision that placed the tenant there'),
  endpoints: list(ENDPOINT),
});

export const TENANT_SCHEMA = object(
  { tenant: id('tenant'), revision: integer() },
  { aggregate: PLACE, projection: PLACE, runner: PLACE },
);

const ENVOY = object({
  node: text({ maxLength: 256 }),
  stamp: integer('the revision it was told to route by'),
  acked: integer('the revision it said to route by'),
  connected_at: time(),
  rejected: list(
    object({
      type: text({ maxLength: 256, description: 'type URL of the resources' }),
      names: list(text({ maxLength: 256 })),
      error: text({ maxLength: 65_536, description: "Envoy's own words" }),
      at: time(),
    }),
  ),
});

const QUARANTINED = object(
  {
    kind: { json: { enum: SERVICE_KINDS } },
    shard: id('shard'),
    since_revision: integer('the revision that brought this content of the entry'),
    pointer: text({ maxLength: 256, description: 'where the mistake is in the routing document' }),
    error: text({ maxLength: LIMITS.quarantineErrorMaxChars }),
    at: time(),
    serving: { json: { enum: ['last_good', 'nothing'], description: 'nothing: its tenants get 503' } },
  },
  { node: text({ maxLength: 256, description: 'the Envoy that rejected it first' }) },
);

const HEAD_STATUS = object(
  {
    source: { json: { enum: ['inline', 'file'], description: 'a table put into `head` by hand, or the routing file' } },
    state: { json: { enum: ['published', 'unchanged', 'refused'] } },
    at: time(),
    detail: text({ maxLength: 1_000 }),
  },
  {
    revision: integer('the revision in force afterwards, 0 for none'),
    errors: list(
      object({
        pointer: text({ maxLength: 1_000 }),
        code: text({ maxLength: 100 }),
        detail: text({ maxLength: 1_000 }),
      }),
    ),
  },
);

export const STATUS_SCHEMA = object({
  head: nullable(HEAD_STATUS),
  quarantined: list(QUARANTINED),
  envoys: list(ENVOY),
  replicas: list(anyObject('role, replica, routing_revision and what else this role says')),
});

export const quarantinedBody = ({ sinceRevision, ...entry }: QuarantinedShard) => ({
  ...entry,
  since_revision: sinceRevision,
});

export const summaryBody = (revision: RevisionSummary) => ({
  revision: revision.revision,
  parent: revision.parent,
  kind_revisions: revision.kindRevisions,
  manifest: revision.manifest,
  at: revision.at,
  by: revision.by,
  note: revision.note,
});

const revisionBody = (snapshot: RoutingSnapshot) => ({
  ...summaryBody(snapshot),
  tenants: snapshot.placements.size,
  shards: Object.fromEntries(SERVICE_KINDS.map((kind) => [kind, snapshot.shards[kind].size])),
});

/**
 * A revision with its ETag; 304 when the caller has it already (RFC 9110, 13.1.2). The document may be of many megabytes:
 * its text is made in slices, other requests are served in between.
 */
export async function revisionAnswer(
  snapshot: RoutingSnapshot,
  call: ApiCall<unknown, { readonly include?: unknown }>,
): Promise<ApiAnswer> {
  const headers = { etag: etag(snapshot.revision) };
  if (call.header('if-none-match') === headers.etag) return { status: 304, headers };
  if (call.query.include === undefined) return { status: 200, headers, body: revisionBody(snapshot) };
  const document = await runInTurns(documentText(snapshot));
  const body = `${JSON.stringify(revisionBody(snapshot)).slice(0, -1)},"document":${document}}`;
  return { status: 200, headers: { ...headers, 'content-type': 'application/json; charset=utf-8' }, body };
}

export const diffBody = ({ from, to, shards, totals, moves, nextCursor }: RevisionDiff) => ({
  from,
  to,
  shards,
  totals,
  items: moves,
  ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }),
});

export const dryRunBody = (run: DryRun) => ({
  dry_run: true,
  revision: run.revision,
  changed: run.changed,
  tenants_on_changed_shards: run.tenantsOnChangedShards,
  ...run.validation,
  ...diffBody(run),
});

/** The page of a difference that a query asks for. */
export function diffPage(query: { readonly limit?: string; readonly cursor?: string }): Outcome<DiffPage> {
  const { cursor } = query;
  const limit = pageLimit(query.limit);
  if (cursor === undefined) return succeed({ limit });
  if (isDiffCursor(cursor)) return succeed({ limit, cursor });
  return refuse('validation_failed', 'this is no cursor', [
    { pointer: '/query/cursor', code: 'cursor', detail: 'must be the next_cursor of the page before' },
  ]);
}

export const notPublished = () => refuse('not_found', 'no routing revision is published yet');

/** A revision in a path or query; undefined when it is none. */
export const revisionNumber = (digits: string): number | undefined =>
  /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;

export const badRevision = (pointer: string) =>
  refuse('validation_failed', 'this is no revision', [
    { pointer, code: 'revision', detail: 'must be a revision number' },
  ]);

/** Where one tenant is, for each kind it is placed for. */
export function tenantBody(snapshot: RoutingSnapshot, tenant: string): Record<string, unknown> {
  const placements = snapshot.placements.get(tenant) ?? {};
  const places = SERVICE_KINDS.flatMap((kind) => {
    const placement = placements[kind];
    return placement === undefined ? [] : [[kind, placeBody(snapshot, kind, placement)] as const];
  });
  return { tenant, revision: snapshot.revision, ...Object.fromEntries(places) };
}

const placeBody = (snapshot: RoutingSnapshot, kind: ServiceKind, { shard, epoch }: Placement) => ({
  shard,
  cluster: clusterName(kind, shard),
  epoch,
  endpoints: (snapshot.shards[kind].get(shard)?.endpoints ?? []).map(({ address, port, weight }) => ({
    address,
    port,
    weight,
  })),
});

export const replicaBody = (replica: ReplicaState) => ({
  role: replica.role,
  replica: replica.replica,
  routing_revision: replica.routingRevision,
  ...(replica.iamRevision === undefined ? {} : { iam_revision: replica.iamRevision }),
  ...(replica.oldestStamp === undefined ? {} : { oldest_stamp: replica.oldestStamp }),
  ...(replica.validator === undefined ? {} : { validator: replica.validator }),
  seen_at: new Date(replica.seenAtMs).toISOString(),
});
