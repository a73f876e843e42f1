import { HEADER } from '#domain/headers.ts';
import { extension, type JsonObject, setHeader } from '../json.ts';
import { FILTERS } from '../names.ts';

/**
 * Lifts the command id of the final message into a header, where a route can see that this command may be repeated.
 * The value is a JSON list (`["c1"]`); without a command id the header stays away, and a client's own was stripped.
 */
export const commandId = (): JsonObject =>
  extension('gateway.command_id', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
    mutations: {
      request_mutations: [
        { append: setHeader(HEADER.gatewayCommandId, `%DYNAMIC_METADATA(${FILTERS.fieldExtraction}:command_id)%`) },
      ],
    },
  });
