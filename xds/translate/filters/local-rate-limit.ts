import type { RateLimit } from '#domain/access/rate-limit.ts';
import { extension, type JsonObject, seconds, setHeader } from '../json.ts';

const ALWAYS = { default_value: { numerator: 100, denominator: 'HUNDRED' } } as const;

/**
 * What one Envoy takes on one listener, whoever sends it: a flood ends here, before it costs a decision. The tokens come
 * back evenly. Its refusals look like those of the limits that ext_authz keeps, which are the ones that clients should
 * meet: this one is for all of them together and can tell nobody from anybody.
 */
export const localRateLimit = (limit: RateLimit): JsonObject => {
  const retrySeconds = Math.ceil(limit.windowMs / limit.requests / 1_000);
  return extension(
    'envoy.filters.http.local_ratelimit',
    'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
    {
      stat_prefix: 'edge',
      token_bucket: {
        max_tokens: limit.requests,
        tokens_per_fill: limit.requests,
        fill_interval: seconds(limit.windowMs),
      },
      filter_enabled: ALWAYS,
      filter_enforced: ALWAYS,
      rate_limited_as_resource_exhausted: true,
      response_headers_to_add: [
        setHeader('retry-after', String(retrySeconds)),
        setHeader('ratelimit-policy', `"listener";q=${limit.requests};w=${limit.windowMs / 1_000}`),
        setHeader('ratelimit', `"listener";r=0;t=${retrySeconds}`),
      ],
    },
  );
};
