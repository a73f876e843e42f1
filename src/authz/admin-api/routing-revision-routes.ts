import { withStorage } from '#app/commit/commit-decision.ts';
import { diffRevisions } from '#app/routing-diff.ts';
import { swapRecord } from '#app/routing-swap.ts';
import { refuse, succeed } from '#domain/errors.ts';
import { type ApiRoute, defineRoute } from '../http/api-route.ts';
import { pageLimit, pageOf, pageQuery } from '../http/bodies.ts';
import { text } from '../http/schema.ts';
import {
  badRevision,
  DIFF_SCHEMA,
  diffBody,
  diffPage,
  INCLUDE_QUERY,
  REVISION_RESPONSES,
  revisionAnswer,
  revisionNumber,
  SUMMARY_SCHEMA,
  summaryBody,
} from './routing-bodies.ts';
import type { RoutingServices } from './routing-services.ts';
import { SWAP_SCHEMA, swapBody } from './routing-swap-body.ts';

/** The endpoints that show kept revisions: what is in them, how they differ and how they came into force. */
export const routingRevisionRoutes = (services: RoutingServices): readonly ApiRoute[] => [
  revisionsRoute(services),
  revisionRoute(services),
  diffRoute(services),
  swapRoute(services),
];

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
    responses: REVISION_RESPONSES,
    errors: ['validation_failed', 'not_found', 'storage_unavailable'],
    handle: (call) =>
      withStorage(async () => {
        const number = revisionNumber(call.params['revision'] ?? '');
        if (number === undefined) return badRevision('/path/revision');
        const snapshot = await routingStore.revision(number);
        if (snapshot === undefined) return refuse('not_found', `revision ${number} is not kept`);
        return succeed(await revisionAnswer(snapshot, call));
      }),
  });

const diffRoute = ({ routingStore }: RoutingServices) =>
  defineRoute({
    id: 'routing.revisions.diff',
    summary: 'What a kept revision has otherwise than another one, by default its parent',
    query: pageQuery({ from: text({ maxLength: 15, description: 'a kept revision, 0 for the emptiness before' }) }),
    responses: {
      200: { description: 'Shards that differ, and one page of the placements that do', schema: DIFF_SCHEMA },
    },
    errors: ['validation_failed', 'not_found', 'storage_unavailable'],
    handle: ({ params, query }) =>
      withStorage(async () => {
        const to = revisionNumber(params['revision'] ?? '');
        const from = query.from === undefined ? undefined : revisionNumber(query.from);
        if (to === undefined) return badRevision('/path/revision');
        if (query.from !== undefined && from === undefined) return badRevision('/query/from');
        const page = diffPage(query);
        if (!page.ok) return page;
        const diff = await diffRevisions(routingStore, { to, from, page: page.value });
        return diff.ok ? succeed({ status: 200, body: diffBody(diff.value) }) : diff;
      }),
  });

const swapRoute = ({ routingStore, board }: RoutingServices) =>
  defineRoute({
    id: 'routing.revisions.swap',
    summary: 'How a kept revision came into force: per Envoy and per replica, from what the live replicas remember',
    responses: { 200: { description: 'Swap record', schema: SWAP_SCHEMA } },
    errors: ['validation_failed', 'not_found', 'storage_unavailable'],
    handle: ({ params }) =>
      withStorage(async () => {
        const number = revisionNumber(params['revision'] ?? '');
        if (number === undefined) return badRevision('/path/revision');
        const record = await swapRecord({ store: routingStore, board }, number);
        return record.ok ? succeed({ status: 200, body: swapBody(record.value) }) : record;
      }),
  });
