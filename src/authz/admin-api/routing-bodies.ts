import { clusterName, SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import type { Placement, RoutingSnapshot } from '#domain/routing/types.ts';
import type { ReplicaState } from '#ports/replica-board.ts';
import type { RevisionSummary } from '#ports/routing.ts';
import { applied, id } from '../http/bodies.ts';
import { anyObject, integer, list, object, text, time } from '../http/schema.ts';

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

export const REVISION_SCHEMA = object(
  {
    ...SUMMARY,
    tenants: integer('tenants placed for some kind'),
    shards: object({ aggregate: integer(), projection: integer(), runner: integer() }),
  },
  { document: anyObject('the routing document of this revision, where asked for') },
);

export const PUBLISHED_SCHEMA = object({
  revision: integer(),
  kind_revisions: KIND_REVISIONS,
  changed: { json: { type: 'boolean', description: 'false: the current revision had this content already' } },
  applied,
});

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

export const STATUS_SCHEMA = object({
  envoys: list(anyObject('node, stamp, acked, connected_at, rejected')),
  replicas: list(anyObject('role, replica, routing_revision and what else this role says')),
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

export const revisionBody = (snapshot: RoutingSnapshot) => ({
  ...summaryBody(snapshot),
  tenants: snapshot.placements.size,
  shards: Object.fromEntries(SERVICE_KINDS.map((kind) => [kind, snapshot.shards[kind].size])),
});

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
  seen_at: new Date(replica.seenAtMs).toISOString(),
});
