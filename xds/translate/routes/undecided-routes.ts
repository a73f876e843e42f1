import type { EndpointRow } from '#domain/endpoints.ts';
import { HEADER } from '#domain/headers.ts';
import { type JsonObject, typed } from '../json.ts';
import { CONTEXT, FILTERS } from '../names.ts';
import { pathMatch } from './located-routes.ts';

const PER_ROUTE = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute';
const TARGETS = ['aggregate', 'projection', 'runner'] as const;

/**
 * The routes of requests that nobody has decided about yet: one per service kind, by path alone, and one for everything
 * else, because Envoy asks ext_authz nothing where no route matches: the paths of our own API and those that there are
 * not, which ext_authz tells apart by its rows. One large expression of all API paths would be compiled anew at every
 * move. None of them leads anywhere: the cluster is read from a header that nobody sets. Methods play no part, so that
 * ext_authz can tell a wrong method (405) from a wrong path.
 */
export const undecidedRoutes = (rows: readonly EndpointRow[]): JsonObject[] => [
  ...answeredByEnvoy(rows),
  ...TARGETS.flatMap((target) => {
    const paths = rows
      .filter((row) => row.target === target)
      .flatMap((row) => [row.path, ...(row.grpcPath === undefined ? [] : [row.grpcPath])]);
    if (paths.length === 0) return [];
    return [
      {
        name: `undecided-${target}`,
        match: pathMatch(paths),
        route: toNowhere('SERVICE_UNAVAILABLE'),
        typed_per_filter_config: saysTarget(target),
      },
    ];
  }),
  {
    name: 'undecided',
    match: { prefix: '/' },
    route: toNowhere('NOT_FOUND'),
    typed_per_filter_config: saysTarget('api'),
  },
];

/** ext_authz refuses where the row it finds has another target: path and decision always mean the same. */
const saysTarget = (target: (typeof TARGETS)[number] | 'api'): JsonObject => ({
  [FILTERS.extAuthz]: typed(PER_ROUTE, { check_settings: { context_extensions: { [CONTEXT.target]: target } } }),
});

/** Envoy's own liveness, the one thing that needs no decision. */
const answeredByEnvoy = (rows: readonly EndpointRow[]): JsonObject[] =>
  rows
    .filter((row) => row.target === 'envoy')
    .map((row) => ({
      name: row.id,
      match: { path: row.path, headers: [{ name: ':method', string_match: { exact: row.method } }] },
      direct_response: { status: 200, body: { inline_string: '{"status":"ok"}' } },
      typed_per_filter_config: { [FILTERS.extAuthz]: typed(PER_ROUTE, { disabled: true }) },
    }));

const toNowhere = (answer: 'SERVICE_UNAVAILABLE' | 'NOT_FOUND'): JsonObject => ({
  cluster_header: HEADER.gatewayUnset,
  cluster_not_found_response_code: answer,
});
