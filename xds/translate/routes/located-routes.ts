import type { EndpointRow } from '#domain/endpoints.ts';
import { API_CLUSTER, HEADER } from '#domain/headers.ts';
import type { ServiceKind } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { type JsonObject, seconds } from '../json.ts';
import { STATIC_CLUSTERS } from '../names.ts';
import { pathRegex } from './path-regex.ts';
import { atAnotherHost } from './retries.ts';

/**
 * The routes of requests that ext_authz has let pass and given a cluster. They come first: after a decision the route
 * is chosen again, and only these demand the cluster header. For shards path and header must fit together, so that a
 * decision for one kind can never use the route of another; what is decided for the API goes nowhere else.
 */
export const locatedRoutes = (rows: readonly EndpointRow[]): JsonObject[] => [
  ...aggregateRoutes(rows),
  shardRoute(rows, 'projection'),
  ...runnerRoutes(rows),
  ...apiRoutes(rows),
];

/** In the form that metadata is printed in: a list of one text, which is not empty. */
const HAS_COMMAND_ID: readonly JsonObject[] = [
  { name: HEADER.gatewayCommandId, string_match: { prefix: '["' } },
  { name: HEADER.gatewayCommandId, string_match: { prefix: '[""' }, invert_match: true },
  { name: HEADER.gatewayCommandId, string_match: { contains: '","' }, invert_match: true },
];

/** More than timers are late, less than anybody would miss. */
const DEADLINE_MARGIN_MS = 20;

/** Nothing was processed yet: always safe to repeat. */
const NOTHING_PROCESSED = 'connect-failure,refused-stream';
/** Perhaps read, and nothing written. */
const NOTHING_WRITTEN = `${NOTHING_PROCESSED},reset`;
/** Perhaps processed: repeated only where the node knows the command by its id. */
const PERHAPS_PROCESSED = `${NOTHING_PROCESSED},reset,unavailable,gateway-error`;

/** Two routes, because a condition on a retry policy would hold for all of its causes (design section 5.6). */
function aggregateRoutes(rows: readonly EndpointRow[]): JsonObject[] {
  const own = rows.filter((row) => row.target === 'aggregate');
  const paths = own.map((row) => row.grpcPath ?? row.path);
  if (paths.length === 0) return [];
  const timeout = timeoutOf(own);
  const action: JsonObject = {
    ...toShard(),
    timeout,
    // The caller's own grpc-timeout counts up to the limit; that member alone would switch the timeout off. Time ends here
    // a little earlier than at the caller, who would otherwise see no ids.
    max_stream_duration: {
      max_stream_duration: timeout,
      grpc_timeout_header_max: timeout,
      grpc_timeout_header_offset: seconds(DEADLINE_MARGIN_MS),
    },
  };
  return [
    {
      name: 'aggregate-repeatable',
      match: { ...pathMatch(paths), headers: [hasKind('aggregate'), ...HAS_COMMAND_ID] },
      route: { ...action, retry_policy: retryPolicy(PERHAPS_PROCESSED) },
    },
    {
      name: 'aggregate',
      match: { ...pathMatch(paths), headers: [hasKind('aggregate')] },
      route: action,
    },
  ];
}

function shardRoute(rows: readonly EndpointRow[], kind: ServiceKind): JsonObject {
  const own = rows.filter((row) => row.target === kind);
  const paths = own.map((row) => row.path);
  const onlyReads = own.every((row) => row.retry === 'read');
  return {
    name: kind,
    match: { ...decidedPathMatch(paths), headers: [hasKind(kind)] },
    route: {
      ...toShard(),
      timeout: timeoutOf(own),
      ...(onlyReads ? { retry_policy: retryPolicy(NOTHING_WRITTEN) } : {}),
    },
  };
}

/** The administration of a runner: what stands before the rest of its path is taken away. */
function runnerRoutes(rows: readonly EndpointRow[]): JsonObject[] {
  const own = rows.filter((row) => row.target === 'runner');
  const prefixes = new Set(own.map((row) => row.path.replace(/\{[a-z_]+\.\.\.\}$/, '')));
  return [...prefixes].map((prefix) => ({
    name: 'runner',
    match: { prefix, headers: [hasKind('runner')] },
    route: {
      ...toShard(),
      timeout: timeoutOf(own),
      prefix_rewrite: '/',
    },
  }));
}

/** The gateway's own API. Endpoints with a timeout of their own get a route of their own, before the general one. */
function apiRoutes(rows: readonly EndpointRow[]): JsonObject[] {
  const api = rows.filter((row) => row.target === 'api');
  const special = api.filter((row) => row.timeoutMs !== LIMITS.apiTimeoutMs);
  const decided = { name: HEADER.gatewayCluster, string_match: { exact: API_CLUSTER } };
  const action = (timeoutMs: number): JsonObject => ({
    cluster: STATIC_CLUSTERS.authzApi,
    timeout: seconds(timeoutMs),
  });
  return [
    ...special.map((row) => ({
      name: row.id,
      match: { ...pathMatch([row.path]), headers: [decided, { name: ':method', string_match: { exact: row.method } }] },
      route: action(row.timeoutMs),
    })),
    {
      name: 'api',
      // The header says it all: ext_authz has found the row, and names this cluster for the rows of the API alone.
      match: { prefix: '/', headers: [decided] },
      route: action(LIMITS.apiTimeoutMs),
    },
  ];
}

/** The time that the rows of one route give a shard. @throws RangeError when they differ: they would need a route each */
function timeoutOf(rows: readonly EndpointRow[]): string {
  const [timeoutMs = LIMITS.upstreamTimeoutMs, ...others] = new Set(rows.map((row) => row.timeoutMs));
  if (others.length > 0)
    throw new RangeError(`${rows.map(({ id }) => id).join(', ')} share a route and differ in time`);
  return seconds(timeoutMs);
}

const toShard = (): JsonObject => ({
  cluster_header: HEADER.gatewayCluster,
  cluster_not_found_response_code: 'SERVICE_UNAVAILABLE',
});

const hasKind = (kind: ServiceKind): JsonObject => ({
  name: HEADER.gatewayCluster,
  string_match: { prefix: `${kind}/` },
});

/** The match of exactly these templates that costs least: expressions are compiled anew at every move. */
export const pathMatch = (templates: readonly string[]): JsonObject => {
  const [only = '', ...others] = new Set(templates);
  if (others.length > 0) return { safe_regex: { regex: pathRegex(templates) } };
  if (!only.includes('{')) return { path: only };
  const isRestAlone = only.indexOf('{') === only.lastIndexOf('{') && only.endsWith('...}');
  return isRestAlone ? beginningOf(only) : { safe_regex: { regex: pathRegex(templates) } };
};

/** The same for what ext_authz has found the row of: the beginning tells kinds apart, and what follows was looked at. */
const decidedPathMatch = (templates: readonly string[]): JsonObject => {
  const [only = '', ...others] = new Set(templates);
  return others.length === 0 && only.includes('{') ? beginningOf(only) : pathMatch(templates);
};

const beginningOf = (template: string): JsonObject => ({ prefix: template.slice(0, template.indexOf('{')) });

/** Retries at another endpoint where there is one, after Envoy's usual 25 to 250 ms. */
const retryPolicy = (retryOn: string): JsonObject => ({ retry_on: retryOn, num_retries: 2, ...atAnotherHost() });

/** What holds for every route that names no other. */
export const safeRetries = (): JsonObject => retryPolicy(NOTHING_PROCESSED);
