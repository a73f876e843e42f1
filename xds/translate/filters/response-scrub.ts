import { HEADER } from '#domain/headers.ts';
import { extension, type JsonObject } from '../json.ts';
import { EARLY_REPLY_HEADER } from '../names.ts';

/** Removes from responses what is the gateway's own business. */
export const responseScrub = (): JsonObject =>
  extension('gateway.response_scrub', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
    mutations: {
      response_mutations: [
        { remove_on_match: { key_matcher: { prefix: 'x-envoy-' } } },
        { remove: EARLY_REPLY_HEADER },
        { remove: HEADER.gatewayCluster },
      ],
    },
  });
