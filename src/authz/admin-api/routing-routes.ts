import { withStorage } from '#app/commit/commit-decision.ts';
import { waitRouted } from '#app/commit/wait-applied.ts';
import { type PublishedRevision, publishChanges, publishDocument, rollback } from '#app/publish-revision.ts';
import { routingStatus } from '#app/routing-status.ts';
import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { toDocument } from '#domain/routing/revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import type { Clock } from '#ports/clock.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { RoutingSource, RoutingStore } from '#ports/routing.ts';
import { type ApiAnswer, type ApiCall, type ApiRoute, defineRoute } from '../http/api-route.ts';
import { applied, etag, pageLimit, pageOf, pageQuery, revisionOfEtag } from '../http/bodies.ts';
import { anyObject, integer, object, text } from '../http/schema.ts';
import {
  PUBLISHED_SCHEMA,
  REVISION_SCHEMA,
  replicaBody,
  revisionBody,
  STATUS_SCHEMA,
  SUMMARY_SCHEMA,
  summaryBody,
  TENANT_SCHEMA,
  tenantBody,
} from './routing-bodies.ts';

export interface RoutingServices {
  readonly routingStore: RoutingStore;
  /** What this replica decides by. */
  readonly routingSource: Pick<RoutingSource, 'current'>;
  readonly board: Pick<ReplicaBoard, 'live' | 'onChange'>;
  readonly clock: Clock;
}

const NOTE = text({ maxLength: LIMITS.noteMaxChars });
const INCLUDE_QUERY = object({}, { include: { json: { enum: ['document'], description: 'adds the whole document' } } });

/** The endpoints that publish and show routing revisions. Routing belongs to the platform, never to one tenant. */
export function routingRoutes(services: RoutingServices): readonly ApiRoute[] {
  return [
    currentRoute(services),
    revisionsRoute(services),
    revisionRoute(services),
    pushRoute(services),
    rollbackRoute(services),
    reloadRoute(services),
    tenantRoute(services),
    statusRoute(services),
  ].map(forPlatform);
}

/** Whoever holds a routing right in a tenant only may not decide about the routes of all. */
const forPlatform = (route: ApiRoute): ApiRoute => ({
  ...route,
  handle: (call) =>
    call.principal?.scope === null
      ? route.handle(call)
      : refuse('right_missing', 'routing belongs to the platform; a role in a tenant does not reach it'),
});

const notPublished = () => refuse('not_found', 'no routing revision is published yet');

/** A revision with its ETag; 304 when the caller has it already (RFC 9110, 13.1.2). */
function revisionAnswer(snapshot: RoutingSnapshot, call: ApiCall<unknown, { readonly include?: unknown }>): ApiAnswer {
  const headers = { etag: etag(snapshot.revision) };
  if (call.header('if-none-match') === headers.etag) return { status: 304, headers };
  const document = call.query.include === undefined ? {} : { document: toDocument(snapshot) };
  return { status: 200, headers, body: { ...revisionBody(snapshot), ...document } };
}

const currentRoute = ({ routingStore }: RoutingServices) =>
  defineRoute({
    id: 'routing.get',
    summary: 'The newest routing revision',
    query: INCLUDE_QUERY,
    responses: { 200: { description: 'Revision', schema: REVISION_SCHEMA }, 304: { description: 'Not changed' } },
    errors: ['validation_failed', 'not_found', 'storage_unavailable'],
    handle: (call) =>
      withStorage(async () => {
        const head = await routingStore.head();
        return head === undefined ? notPublished() : succeed(revisionAnswer(head, call));
      }),
  });

const revisionsRoute = ({ routingStore }: RoutingServices) =>
  defineRoute({
    id: 'routing.revisions.list',
    summary: 'Kept revisions, newest first',
    query: pageQuery({}),
    responses: { 200: { description: 'Revisions', schema: pageOf(SUMMARY_SCHEMA) } },
    errors: ['validation_failed', 'storage_unavailable'],
    handle: ({ query }) =>
      withStorage(async () => {
        const before = query.cursor === undefined ? undefined : revisionNumber(query.cursor);
        if (query.cursor !== undefined && before === undefined) return badRevision('/query/cursor');
        const limit = pageLimit(query.limit);
        const found = await routingStore.list({ limit, ...(before === undefined ? {} : { before }) });
        const last = found.at(-1);
        const more = last !== undefined && found.length === limit && last.revision > 1;
        const next = more ? { next_cursor: String(last.revision) } : {};
        return succeed({ status: 200, body: { items: found.map(summaryBody), ...next } });
      }),
  });

const revisionRoute = ({ routingStore }: RoutingServices) =>
  defineRoute({
    id: 'routing.revisions.get',
    summary: 'One kept revision',
    query: INCLUDE_QUERY,
    responses: { 200: { description: 'Revision', schema: REVISION_SCHEMA }, 304: { description: 'Not changed' } },
    errors: ['validation_failed', 'not_found', 'storage_unavailable'],
    handle: (call) =>
      withStorage(async () => {
        const number = revisionNumber(call.params['revision'] ?? '');
        if (number === undefined) return badRevision('/path/revision');
        const snapshot = await routingStore.revision(number);
        if (snapshot === undefined) return refuse('not_found', `revision ${number} is not kept`);
        return succeed(revisionAnswer(snapshot, call));
      }),
  });

const pushRoute = (services: RoutingServices) =>
  defineRoute({
    id: 'routing.revisions.push',
    summary: 'Publishes a routing document, or {"changes":[{"tenant","aggregate?","projection?","runner?"}],"note?"}',
    body: anyObject('a routing document or small changes; every mistake is reported with its pointer'),
    query: object({}, { note: NOTE }),
    responses: { 200: { description: 'Published', schema: PUBLISHED_SCHEMA } },
    errors: ['conflict', 'precondition_failed', 'not_found', 'storage_unavailable'],
    handle: async (call) => {
      const request = publishRequest(call, call.query.note);
      if (!request.ok) return request;
      const ports = { store: services.routingStore, clock: services.clock };
      // A document has no member of this name; `changes` next to one is reported as unknown by the parser.
      const outcome = Object.hasOwn(call.body, 'changes')
        ? await publishChanges(ports, { ...request.value, changes: call.body })
        : await publishDocument(ports, { ...request.value, document: call.body });
      return publishedAnswer(services, outcome);
    },
  });

const rollbackRoute = (services: RoutingServices) =>
  defineRoute({
    id: 'routing.rollback',
    summary: 'Publishes a new revision with the content of an earlier one',
    body: object({ revision: integer('a kept revision', 1) }, { note: NOTE }),
    responses: { 200: { description: 'Published', schema: PUBLISHED_SCHEMA } },
    errors: ['conflict', 'precondition_failed', 'not_found', 'storage_unavailable'],
    handle: async (call) => {
      const { revision, note } = call.body;
      const request = publishRequest(call, note ?? `rollback to revision ${revision}`);
      if (!request.ok) return request;
      const ports = { store: services.routingStore, clock: services.clock };
      return publishedAnswer(services, await rollback(ports, { ...request.value, revision }));
    },
  });

const reloadRoute = ({ routingStore, board }: RoutingServices) =>
  defineRoute({
    id: 'routing.reload',
    summary: 'Reads the newest revision from the store and waits until all replicas decide by it',
    responses: { 200: { description: 'Reloaded', schema: object({ revision: integer(), applied }) } },
    errors: ['not_found', 'storage_unavailable'],
    handle: () =>
      withStorage(async () => {
        const head = await routingStore.head();
        if (head === undefined) return notPublished();
        const state = await waitRouted(board, head.revision);
        return succeed({ status: 200, body: { revision: head.revision, applied: state } });
      }),
  });

const tenantRoute = ({ routingSource }: RoutingServices) =>
  defineRoute({
    id: 'routing.tenant',
    summary: 'Where this replica sends the requests of a tenant now',
    responses: { 200: { description: 'Places', schema: TENANT_SCHEMA } },
    errors: ['not_found', 'routing_unavailable'],
    handle: ({ params }) => {
      const snapshot = routingSource.current();
      const tenant = params['tenant'] ?? '';
      if (snapshot === undefined) return refuse('routing_unavailable', 'no routing revision is loaded yet');
      if (snapshot.placements.get(tenant) === undefined) return refuse('not_found', 'the tenant is not placed');
      return succeed({ status: 200, body: tenantBody(snapshot, tenant), headers: { etag: etag(snapshot.revision) } });
    },
  });

const statusRoute = ({ board }: RoutingServices) =>
  defineRoute({
    id: 'routing.status',
    summary: 'What each Envoy and each replica routes by',
    responses: { 200: { description: 'Status', schema: STATUS_SCHEMA } },
    handle: () => {
      const { envoys, replicas } = routingStatus(board);
      const body = {
        envoys: envoys.map(({ node, stamp, acked, connectedAt, rejected }) => ({
          node,
          stamp,
          acked,
          connected_at: connectedAt,
          rejected,
        })),
        replicas: replicas.map(replicaBody),
      };
      return succeed({ status: 200, body });
    },
  });

const revisionNumber = (digits: string): number | undefined => (/^\d{1,15}$/.test(digits) ? Number(digits) : undefined);

const badRevision = (pointer: string) =>
  refuse('validation_failed', 'this is no revision', [
    { pointer, code: 'revision', detail: 'must be a revision number' },
  ]);

/** Who publishes, why, and (If-Match) on top of which revision only. */
function publishRequest(call: ApiCall, note: string | undefined) {
  const ifMatch = call.header('if-match');
  const expectedRevision = revisionOfEtag(ifMatch);
  if (ifMatch !== undefined && ifMatch !== '*' && expectedRevision === undefined) {
    return refuse('precondition_failed', 'If-Match must name one revision, like "42"');
  }
  return succeed({ by: call.context.actor.id, note, expectedRevision });
}

/** Answers when the revision is in force everywhere, or says who is behind. */
async function publishedAnswer(
  { board }: RoutingServices,
  outcome: Outcome<PublishedRevision>,
): Promise<Outcome<ApiAnswer>> {
  if (!outcome.ok) return outcome;
  const { revision } = outcome.value;
  const state = await waitRouted(board, revision);
  return succeed({ status: 200, body: { ...outcome.value, applied: state }, headers: { etag: etag(revision) } });
}
