import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileEndpoints } from '#domain/access/match-endpoint.ts';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { SERVICE_KINDS } from '#domain/ids.ts';
import { routeConfiguration } from '../../../../xds/translate/routes/route-config.ts';

interface HeaderMatch {
  readonly name: string;
  readonly string_match: Readonly<Record<string, unknown>>;
  readonly invert_match?: boolean;
}

/** A route as far as these tests read it. */
interface Route {
  readonly name: string;
  readonly match: {
    readonly path?: string;
    readonly prefix?: string;
    readonly safe_regex?: { readonly regex: string };
    readonly headers?: readonly HeaderMatch[];
  };
  readonly route?: { readonly cluster?: string; readonly cluster_header?: string };
  readonly direct_response?: object;
  readonly typed_per_filter_config?: Readonly<
    Record<
      string,
      {
        readonly disabled?: boolean;
        readonly check_settings?: { readonly context_extensions: { readonly target: string } };
      }
    >
  >;
}

const EXT_AUTHZ = 'envoy.filters.http.ext_authz';
const [host] = Object(routeConfiguration(ENDPOINTS, 17)).virtual_hosts;
const routes: readonly Route[] = host.routes;

/** Envoy's choice: the first route that matches path and headers. */
function choose(path: string, headers: Readonly<Record<string, string>>): Route | undefined {
  return routes.find(({ match }) => {
    const matchesPath =
      match.path === path ||
      (match.prefix !== undefined && path.startsWith(match.prefix)) ||
      (match.safe_regex !== undefined && new RegExp(`^(?:${match.safe_regex.regex})$`, 'su').test(path));
    return matchesPath && (match.headers ?? []).every((each) => matchesHeader(each, headers[each.name]));
  });
}

/** An inverted match of a header that is not there holds. */
function matchesHeader({ string_match, invert_match = false }: HeaderMatch, value?: string): boolean {
  if (value === undefined) return invert_match;
  const { exact, prefix, contains } = string_match;
  const holds =
    (exact === undefined || value === exact) &&
    (prefix === undefined || value.startsWith(String(prefix))) &&
    (contains === undefined || value.includes(String(contains)));
  return holds !== invert_match;
}

const targetOf = (route: Route | undefined): string | undefined =>
  route?.typed_per_filter_config?.[EXT_AUTHZ]?.check_settings?.context_extensions.target;

const segment = fc.stringMatching(/^[a-z0-9._~%-]{1,12}$/);
/** Paths of the catalogue with any parameters, and paths near them. */
const path = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(...ENDPOINTS.flatMap((row) => [row.path, ...(row.grpcPath === undefined ? [] : [row.grpcPath])])),
      fc.array(segment, { minLength: 3, maxLength: 3 }),
    )
    .map(([template, values]) => {
      let next = 0;
      return template.replaceAll(/\{[a-z_]+(\.\.\.)?\}/g, () => values[next++ % 3] ?? 'x');
    }),
  fc
    .array(fc.oneof(segment, fc.constantFrom('v1', 'admin', 'runner', 'routing', 'commands', 'query', '')), {
      maxLength: 5,
    })
    .map((parts) => `/${parts.join('/')}`),
);
const method = fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE');

describe('the route table', () => {
  const catalogue = compileEndpoints(ENDPOINTS);

  it('sends every undecided request to the decision with the target of its row, and nowhere else', () => {
    fc.assert(
      fc.property(method, path, (verb, at) => {
        const route = choose(at, { ':method': verb });
        if (route === undefined) throw new Error('no route: Envoy would ask nobody');
        const found = catalogue.match(verb, at);
        if (route.direct_response !== undefined) {
          expect([verb, at]).toEqual(['GET', '/health']);
          return;
        }
        expect(route.route?.cluster_header).toBe('x-gateway-unset');
        expect(route.typed_per_filter_config?.[EXT_AUTHZ]?.disabled ?? false).toBe(false);
        if (found.kind === 'row' && found.row.target !== 'envoy') expect(targetOf(route)).toBe(found.row.target);
      }),
      { numRuns: 2_000 },
    );
  });

  it('sends a decided request to a cluster of the kind that its path is for, or nowhere', () => {
    const cluster = fc.oneof(
      fc.constantFrom('api', 'authz', 'authz_api', 'xds', 'otlp', '', 'projection', '/'),
      fc.tuple(fc.constantFrom(...SERVICE_KINDS), segment).map((parts) => parts.join('/')),
    );
    fc.assert(
      fc.property(method, path, cluster, (verb, at, decided) => {
        const route = choose(at, { ':method': verb, 'x-gateway-cluster': decided });
        const found = catalogue.match(verb, at);
        if (route?.route?.cluster_header === 'x-gateway-cluster') {
          const kind = decided.split('/')[0];
          expect(SERVICE_KINDS).toContain(kind);
          if (found.kind === 'row') expect(found.row.target).toBe(kind);
        } else if (route?.route?.cluster !== undefined) {
          // Said by ext_authz for rows of the API alone: it refuses where the route it was asked from has another target.
          expect([route.route.cluster, decided]).toEqual(['authz_api', 'api']);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('reaches every endpoint once it is decided', () => {
    for (const row of ENDPOINTS.filter(({ target }) => target !== 'envoy')) {
      const at = (row.grpcPath ?? row.path).replaceAll(/\{[a-z_]+(\.\.\.)?\}/g, 'x');
      const decided = row.target === 'api' ? 'api' : `${row.target}/s1`;
      const route = choose(at, { ':method': row.method, 'x-gateway-cluster': decided });
      expect([row.id, route?.route?.cluster ?? route?.route?.cluster_header]).toEqual([
        row.id,
        row.target === 'api' ? 'authz_api' : 'x-gateway-cluster',
      ]);
    }
  });

  it('gives an endpoint with a timeout of its own that timeout, and the others theirs', () => {
    const timeoutOf = (verb: string, at: string) =>
      Object(choose(at, { ':method': verb, 'x-gateway-cluster': 'api' })?.route).timeout;
    for (const row of ENDPOINTS.filter(({ target }) => target === 'api')) {
      const at = row.path.replaceAll(/\{[a-z_]+\}/g, 'x');
      expect([row.id, timeoutOf(row.method, at)]).toEqual([row.id, `${row.timeoutMs / 1000}s`]);
    }
  });

  it('gives each kind of shard the time that its rows say, which must be one', () => {
    const times = { aggregate: 3_000, projection: 4_000, runner: 5_000 } as const;
    const rows = ENDPOINTS.map((row) =>
      row.target === 'api' || row.target === 'envoy' ? row : { ...row, timeoutMs: times[row.target] },
    );
    const made: readonly Route[] = Object(routeConfiguration(rows, 17)).virtual_hosts[0].routes;
    const timesOf = (name: string) =>
      made.filter((route) => route.name === name).map(({ route }) => Object(route).timeout);
    expect(['aggregate-repeatable', 'aggregate', 'projection', 'runner'].flatMap(timesOf)).toEqual([
      '3s',
      '3s',
      '4s',
      '5s',
    ]);
    const differing = ENDPOINTS.map((row) => (row.id === 'runner.put' ? { ...row, timeoutMs: 1 } : row));
    expect(() => routeConfiguration(differing, 17)).toThrow(/runner\.put.* differ in time/);
  });

  it('repeats what may have been processed only for commands with an id', () => {
    const at = '/aggregate.gateway.v1.CommandService/SubmitCommand';
    const retryOn = (id?: string): unknown => {
      const headers = {
        ':method': 'POST',
        'x-gateway-cluster': 'aggregate/s1',
        ...(id === undefined ? {} : { 'x-gateway-command-id': id }),
      };
      return Object(choose(at, headers)?.route).retry_policy?.retry_on ?? host.retry_policy.retry_on;
    };
    expect(retryOn('["c1"]')).toBe('connect-failure,refused-stream,reset,unavailable,gateway-error');
    for (const id of [undefined, '[]', '[""]', '["a","b"]', 'c1', ''])
      expect(retryOn(id)).toBe('connect-failure,refused-stream');
    const query = choose('/v1/query/orders', { ':method': 'POST', 'x-gateway-cluster': 'projection/s1' });
    expect(Object(query?.route).retry_policy?.retry_on).toBe('connect-failure,refused-stream,reset');
    for (const route of routes)
      if (route.name !== 'aggregate-repeatable' && route.name !== 'projection')
        expect(Object(route.route)).not.toHaveProperty('retry_policy');
  });

  it('carries the stamp for the decision and for the access log', () => {
    expect(host.typed_per_filter_config[EXT_AUTHZ].check_settings.context_extensions).toEqual({ stamp: '17' });
    expect(host.metadata.filter_metadata.gateway).toEqual({ revision: '17' });
  });
});
