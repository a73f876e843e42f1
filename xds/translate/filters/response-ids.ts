import { extension, type JsonObject } from '../json.ts';
import { EARLY_REPLY_HEADER } from '../names.ts';
import { responseIds } from '../request-ids.ts';
import { headerIs, unless } from './delegate.ts';

/**
 * The ids on every response. Passed by for early replies: there was no span yet, so that the trace would be empty, and
 * the request's ids are not repaired; their mapper has set clean ones.
 */
export const responseIdsFilter = (): JsonObject =>
  unless(
    headerIs('Response', { header: EARLY_REPLY_HEADER, value: { exact: '1' } }),
    'gateway.response_ids',
    extension('envoy.filters.http.header_mutation', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
      mutations: { response_mutations: responseIds().map((append) => ({ append })) },
    }),
  );
