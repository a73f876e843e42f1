import { extension, type JsonObject } from '../../json.ts';

/**
 * Refuses a request with several Host headers, as RFC 9112, 3.2, demands: Envoy would join them by commas, and nobody can
 * say which one the next reader takes. The refusal is a 400 by its details (local-replies.ts).
 */
export const oneHost = (): JsonObject =>
  extension('gateway.one_host', 'envoy.extensions.filters.http.rbac.v3.RBAC', {
    rules: {
      action: 'DENY',
      policies: {
        several: {
          permissions: [{ header: { name: ':authority', string_match: { contains: ',' } } }],
          principals: [{ any: true }],
        },
      },
    },
  });
