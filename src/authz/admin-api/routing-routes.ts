import { withStorage } from '#app/commit/commit-decision.ts';
import { routingStatus } from '#app/routing-status.ts';
import { refuse, succeed } from '#domain/errors.ts';
import { type ApiRoute, defineRoute } from '../http/api-route.ts';
import { etag } from '../http/bodies.ts';
import {
  INCLUDE_QUERY,
  notPublished,
  quarantinedBody,
  REVISION_RESPONSES,
  replicaBody,
  revisionAnswer,
  STATUS_SCHEMA,
  TENANT_SCHEMA,
  tenantBody,
} from './routing-bodies.ts';
import { routingPublishRoutes } from './routing-publish-routes.ts';
import { routingRevisionRoutes } from './routing-revision-routes.ts';
import type { RoutingServices } from './routing-services.ts';

/** The endpoints that publish and show routing revisions. Routing belongs to the platform, never to one tenant. */
export function routingRoutes(services: RoutingServices): readonly ApiRoute[] {
  return [
    currentRoute(services),
    ...routingRevisionRoutes(services),
    ...routingPublishRoutes(services),
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

const currentRoute = ({ routingStore }: RoutingServices) =>
  defineRoute({
    id: 'routing.get',
    summary: 'The newest routing revision',
    query: INCLUDE_QUERY,
    responses: REVISION_RESPONSES,
    errors: ['validation_failed', 'not_found', 'storage_unavailable'],
    handle: (call) =>
      withStorage(async () => {
        const head = await routingStore.head();
        return head === undefined ? notPublished() : succeed(await revisionAnswer(head, call));
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

const statusRoute = ({ board, headStatus }: RoutingServices) =>
  defineRoute({
    id: 'routing.status',
    summary:
      'What each Envoy and each replica routes by, which shards are kept back, and what became of a hand-put table',
    responses: { 200: { description: 'Status', schema: STATUS_SCHEMA } },
    handle: () => {
      const { envoys, replicas, quarantined } = routingStatus(board);
      const body = {
        quarantined: quarantined.map(quarantinedBody),
        envoys: envoys.map(({ node, stamp, acked, connectedAt, rejected }) => ({
          node,
          stamp,
          acked,
          connected_at: connectedAt,
          rejected,
        })),
        replicas: replicas.map(replicaBody),
        head: headStatus() ?? null,
      };
      return succeed({ status: 200, body });
    },
  });
