import type { EndpointRow } from '#domain/endpoints.ts';
import { HEADER } from '#domain/headers.ts';
import { corsPolicy } from '../filters/browser/cors.ts';
import { type JsonObject, setHeader, typed } from '../json.ts';
import { CONTEXT, FILTERS, NAMES, SAMPLED_HEADER, STAMP_METADATA } from '../names.ts';
import { locatedRoutes, safeRetries } from './located-routes.ts';
import { undecidedRoutes } from './undecided-routes.ts';

/**
 * The one route configuration, stamped with the revision that an Envoy may route by. It does not depend on the number
 * of tenants or shards. Every move pushes it again, so it is kept small: what is the same for all routes stands once,
 * on the virtual host.
 *
 * Envoy keeps the route configuration of a request to its end, and passes the stamp to ext_authz: the placement and
 * the route come from one revision.
 */
export const routeConfiguration = (
  rows: readonly EndpointRow[],
  stamp: number | string,
  corsOrigins: readonly string[] = [],
): JsonObject => ({
  name: NAMES.routes,
  virtual_hosts: [
    {
      name: NAMES.routes,
      domains: ['*'],
      metadata: { filter_metadata: { [STAMP_METADATA.namespace]: { [STAMP_METADATA.key]: String(stamp) } } },
      typed_per_filter_config: {
        [FILTERS.extAuthz]: typed('envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute', {
          check_settings: { context_extensions: { [CONTEXT.stamp]: String(stamp) } },
        }),
        ...corsPolicy(corsOrigins),
      },
      // Read by the routes, of no use to anybody behind them. A deadline is kept here alone: a node that kept it too would
      // now and then end first, which looks like a fault of the node. It notices the end by the reset of its stream.
      // Envoy looks for its own mark of a recorded request each time that it chooses a route: no filter can take it away.
      request_headers_to_remove: [HEADER.gatewayCluster, HEADER.gatewayCommandId, 'grpc-timeout', SAMPLED_HEADER],
      response_headers_to_add: [setHeader(HEADER.routingRevision, `%DYNAMIC_METADATA(${FILTERS.extAuthz}:revision)%`)],
      retry_policy: safeRetries(),
      routes: [...locatedRoutes(rows), ...undecidedRoutes(rows)],
    },
  ],
});
