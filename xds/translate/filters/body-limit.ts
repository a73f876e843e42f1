import type { EndpointRow } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import { extension, type JsonObject } from '../json.ts';
import { pathRegex } from '../routes/path-regex.ts';
import { headerIs, regex, unless } from './delegate.ts';

/**
 * Request bodies by size. The filter knows no limit per route, so each size is one filter: the general limit passes
 * the few larger endpoints by, and a filter with the largest limit holds for everything. Smaller limits (the APIs') are
 * kept by whoever serves the endpoint.
 */
export function bodyLimits(rows: readonly EndpointRow[]): JsonObject[] {
  const larger = rows.filter((row) => row.bodyMaxBytes > LIMITS.requestBodyMaxBytes);
  const general = limit('envoy.filters.http.body_size_limit', LIMITS.requestBodyMaxBytes);
  if (larger.length === 0) return [general];
  const paths = pathRegex(larger.map((row) => row.path));
  const isLarger = headerIs('Request', { header: ':path', value: regex(`${paths}(?:\\?.*)?`) });
  return [
    limit('gateway.body_size_limit.largest', Math.max(...larger.map((row) => row.bodyMaxBytes))),
    unless(isLarger, 'gateway.body_size_limit.general', general),
  ];
}

const limit = (name: string, bytes: number): JsonObject =>
  extension(name, 'envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit', {
    max_request_bytes: String(bytes),
  });
