import { extension, type JsonObject } from '../json.ts';

/** Sends the request. Envoy's own headers would tell nodes and clients about timeouts and retries. */
export const router = (): JsonObject =>
  extension('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router', {
    suppress_envoy_headers: true,
  });
