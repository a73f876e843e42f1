import { askValidators } from '#app/ask-validators.ts';
import { withStorage } from '#app/commit/commit-decision.ts';
import { waitRouted } from '#app/commit/wait-applied.ts';
import {
  type PublishedRevision,
  type PublishPorts,
  publishChanges,
  publishDocument,
  rollback,
} from '#app/publish-revision.ts';
import { dryRun } from '#app/routing-dry-run.ts';
import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { type ApiAnswer, type ApiCall, type ApiRoute, defineRoute } from '../http/api-route.ts';
import { applied, etag, pageQuery, revisionOfEtag } from '../http/bodies.ts';
import { anyObject, integer, object, type Schema, text } from '../http/schema.ts';
import { DRY_RUN_SCHEMA, diffPage, dryRunBody, notPublished, PUBLISHED_SCHEMA } from './routing-bodies.ts';
import type { RoutingServices } from './routing-services.ts';

/** The endpoints that make routing revisions, or tell what they would make. */
export const routingPublishRoutes = (services: RoutingServices): readonly ApiRoute[] => [
  pushRoute(services),
  rollbackRoute(services),
  reloadRoute(services),
];

const NOTE = text({ maxLength: LIMITS.noteMaxChars });
const DRY_RUN: Schema<'true' | 'false'> = {
  json: { enum: ['true', 'false'], description: 'true: checks, and tells what would change, but publishes nothing' },
};
/** `limit` and `cursor` page through what a dry run tells. */
const DRY_RUN_QUERY = { dry_run: DRY_RUN };
const RESPONSES = {
  200: {
    description: 'Published, or with dry_run what would change',
    schema: { json: { anyOf: [PUBLISHED_SCHEMA.json, DRY_RUN_SCHEMA.json] } },
  },
};
const ERRORS = ['conflict', 'precondition_failed', 'not_found', 'validation_failed', 'storage_unavailable'] as const;

const pushRoute = (services: RoutingServices) =>
  defineRoute({
    id: 'routing.revisions.push',
    summary: 'Publishes a routing document, or {"changes":[{"tenant","aggregate?","projection?","runner?"}],"note?"}',
    body: anyObject('a routing document or small changes; every mistake is reported with its pointer'),
    query: pageQuery({ ...DRY_RUN_QUERY, note: NOTE }),
    responses: RESPONSES,
    errors: ERRORS,
    handle: async (call) => {
      const request = publishRequest(call, call.query.note);
      if (!request.ok) return request;
      return publishOrTry(services, call.query, (ports) =>
        // A document has no member of this name; `changes` next to one is reported as unknown by the parser.
        Object.hasOwn(call.body, 'changes')
          ? publishChanges(ports, { ...request.value, changes: call.body })
          : publishDocument(ports, { ...request.value, document: call.body }),
      );
    },
  });

const rollbackRoute = (services: RoutingServices) =>
  defineRoute({
    id: 'routing.rollback',
    summary: 'Publishes a new revision with the content of an earlier one',
    body: object({ revision: integer('a kept revision', 1) }, { note: NOTE }),
    query: pageQuery(DRY_RUN_QUERY),
    responses: RESPONSES,
    errors: ERRORS,
    handle: async (call) => {
      const { revision, note } = call.body;
      const request = publishRequest(call, note ?? `rollback to revision ${revision}`);
      if (!request.ok) return request;
      return publishOrTry(services, call.query, (ports) => rollback(ports, { ...request.value, revision }));
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

/** Who publishes, why, and (If-Match) on top of which revision only. */
function publishRequest(call: ApiCall, note: string | undefined) {
  const ifMatch = call.header('if-match');
  const expectedRevision = revisionOfEtag(ifMatch);
  if (ifMatch !== undefined && ifMatch !== '*' && expectedRevision === undefined) {
    return refuse('precondition_failed', 'If-Match must name one revision, like "42"');
  }
  return succeed({ by: call.context.actor.id, note, expectedRevision });
}

/** Publishes and answers when the revision is in force everywhere, or who is behind; or only tells what would change. */
async function publishOrTry(
  { board, clock, routingStore }: RoutingServices,
  query: { readonly dry_run?: 'true' | 'false'; readonly limit?: string; readonly cursor?: string },
  publication: (ports: PublishPorts) => Promise<Outcome<PublishedRevision>>,
): Promise<Outcome<ApiAnswer>> {
  const ports = { store: routingStore, clock, validator: askValidators(board) };
  if (query.dry_run === 'true') {
    const page = diffPage(query);
    const outcome = page.ok ? await dryRun(ports, page.value, publication) : page;
    return outcome.ok ? succeed({ status: 200, body: dryRunBody(outcome.value) }) : outcome;
  }
  const outcome = await publication(ports);
  if (!outcome.ok) return outcome;
  const { revision } = outcome.value;
  const state = await waitRouted(board, revision);
  return succeed({ status: 200, body: { ...outcome.value, applied: state }, headers: { etag: etag(revision) } });
}
