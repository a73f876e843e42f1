import { HEADER } from '#domain/headers.ts';
import { extension, type JsonObject } from '../json.ts';
import { EARLY_REPLY_HEADER } from '../names.ts';

/** What is the gateway's own business, and what software says of itself and its version, which helps attackers alone. */
const NAMES = [EARLY_REPLY_HEADER, HEADER.gatewayCluster, 'server', 'via', 'x-powered-by'] as const;
const PREFIXES = ['x-envoy-', 'x-aspnet'] as const;

const removed = (): JsonObject[] => [
  ...PREFIXES.map((prefix) => ({ remove_on_match: { key_matcher: { prefix } } })),
  ...NAMES.map((name) => ({ remove: name })),
];

/** Removes from responses, and from the trailers of gRPC, what nobody outside needs. Answers before the filters have none. */
export const responseScrub = (): JsonObject =>
  extension('gateway.response_scrub', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
    mutations: { response_mutations: removed(), response_trailers_mutations: removed() },
  });
