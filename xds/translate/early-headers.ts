import { STRIPPED_NAMES, STRIPPED_PREFIXES } from '#domain/headers.ts';
import { extension, type JsonObject } from './json.ts';
import { repairedIds } from './request-ids.ts';
import { sampling } from './tracing/tracing.ts';

/**
 * What happens to a request's headers before the first route is chosen and before the span begins. Without the strip a
 * forged `x-gateway-cluster` would match a located route, which is a request to any cluster of the gateway's.
 */
export const earlyHeaders = (traceSamplePercent?: number): JsonObject =>
  extension(
    'envoy.http.early_header_mutation.header_mutation',
    'envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation',
    {
      mutations: [
        ...STRIPPED_PREFIXES.map((prefix) => ({ remove_on_match: { key_matcher: { prefix } } })),
        ...STRIPPED_NAMES.map((name) => ({ remove: name })),
        ...repairedIds(),
        ...sampling(traceSamplePercent),
      ],
    },
  );
