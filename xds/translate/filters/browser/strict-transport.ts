import { extension, type JsonObject, setHeader } from '../../json.ts';

/**
 * Tells browsers to use TLS alone for this host (RFC 6797). Only for listeners of TLS: section 7.2 forbids it in clear.
 * Without subdomains: they are not ours to speak for. 0 seconds: no filter.
 */
export const strictTransport = (seconds: number): JsonObject[] =>
  seconds === 0
    ? []
    : [
        extension('gateway.strict_transport', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
          mutations: {
            response_mutations: [{ append: setHeader('strict-transport-security', `max-age=${seconds}`) }],
          },
        }),
      ];
