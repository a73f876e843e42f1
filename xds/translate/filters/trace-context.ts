import { HEADER } from '#domain/headers.ts';
import { extension, type JsonObject, setHeader } from '../json.ts';
import { traceparent } from '../request-ids.ts';

/**
 * Makes the gateway's span the parent of whatever comes behind it. The tracer would do that by itself, and write an empty
 * `tracestate` besides, which W3C Trace Context 3.3.1 asks vendors to avoid: its own propagation is switched off. From here
 * on the flag of `traceparent` alone says whether the request is recorded.
 */
export const traceContext = (): JsonObject =>
  extension('gateway.trace_context', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
    mutations: { request_mutations: [{ append: setHeader(HEADER.traceparent, traceparent) }] },
  });
