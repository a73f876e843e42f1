import { extension, type JsonObject } from '../json.ts';

/**
 * Marks `/ready` as the health check of this Envoy: normally the request goes on to the authz service, which names its
 * conditions; after `POST /healthcheck/fail` on the admin port (drain) it is answered 503 here.
 */
export const readiness = (): JsonObject =>
  extension('envoy.filters.http.health_check', 'envoy.extensions.filters.http.health_check.v3.HealthCheck', {
    pass_through_mode: true,
    headers: [{ name: ':path', string_match: { exact: '/ready' } }],
  });
