import { publishedKeys } from '#app/keys/published-keys.ts';
import { problem, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Clock } from '#ports/clock.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { type ApiRoute, defineRoute } from './api-route.ts';
import { anyObject, constant, flag, list, object, text } from './schema.ts';

/** One thing that must hold for this replica to decide and route; all are named in the answer of `/ready`. */
export interface ReadyCondition {
  readonly name: string;
  readonly ok: boolean;
  /** Why not, or by what; for operators. */
  readonly detail?: string;
}

export interface SystemServices {
  readonly store: KeyValueStore;
  readonly clock: Clock;
  readonly publicUrl: string;
  readonly readiness: () => readonly ReadyCondition[];
}

const CONDITION = object({ name: text({ maxLength: 64 }), ok: flag() }, { detail: text({ maxLength: 500 }) });

/** What tells others about the gateway itself: whether it is ready, its public keys and its metadata. */
export function systemRoutes(services: SystemServices): readonly ApiRoute[] {
  return [readyRoute(services), jwksRoute(services), metadataRoute(services)];
}

const readyRoute = ({ readiness }: SystemServices) =>
  defineRoute({
    id: 'ready',
    summary: 'Whether this replica can decide and route, condition by condition',
    responses: {
      200: { description: 'Ready', schema: object({ status: constant('ready'), conditions: list(CONDITION) }) },
      503: {
        description: 'Not ready: a problem document that names the conditions',
        contentType: 'application/problem+json',
      },
    },
    handle: () => {
      const conditions = readiness();
      const failing = conditions.filter((condition) => !condition.ok).map((condition) => condition.name);
      if (failing.length === 0) return succeed({ status: 200, body: { status: 'ready', conditions } });
      const body = problem({ code: 'routing_unavailable', detail: `not ready: ${failing.join(', ')}` }, {});
      return succeed({
        status: 503,
        body: JSON.stringify({ ...body, conditions }),
        headers: { 'content-type': 'application/problem+json' },
      });
    },
  });

function jwksRoute(services: SystemServices): ApiRoute {
  const keys = publishedKeys(services);
  return defineRoute({
    id: 'jwks',
    summary: 'The public keys that access tokens are signed with (RFC 7517)',
    responses: { 200: { description: 'Key set', schema: object({ keys: list(anyObject('JWK')) }) } },
    errors: ['storage_unavailable'],
    handle: async () => {
      const found = await keys();
      if (!found.ok) return found;
      const body = {
        keys: found.value.map(({ kid, algorithm, publicJwk }) => ({
          kty: publicJwk.kty,
          crv: publicJwk.crv,
          x: publicJwk.x,
          y: publicJwk.y,
          use: 'sig',
          alg: algorithm,
          kid,
        })),
      };
      // Shorter than the time between publishing a key and signing with it.
      const caching = `public, max-age=${LIMITS.jwksCacheSeconds}`;
      return succeed({ status: 200, body, headers: { 'cache-control': caching } });
    },
  });
}

const metadataRoute = ({ publicUrl }: SystemServices) =>
  defineRoute({
    id: 'oauth.metadata',
    summary: 'Authorization server metadata (RFC 8414)',
    responses: { 200: { description: 'Metadata', schema: anyObject('RFC 8414, section 2') } },
    handle: () =>
      succeed({
        status: 200,
        body: {
          issuer: publicUrl,
          jwks_uri: `${publicUrl}/.well-known/jwks.json`,
          // No grant of RFC 6749 is offered yet, so there is no token endpoint to name.
          response_types_supported: [],
          grant_types_supported: [],
          service_documentation: `${publicUrl}/openapi.json`,
        },
        headers: { 'cache-control': 'public, max-age=300' },
      }),
  });
