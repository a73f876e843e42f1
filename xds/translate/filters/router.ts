import { extension, type JsonObject } from '../json.ts';

/** Sends the request. Envoy's own headers stay on: the original path of a rewritten one is what the access log needs. */
export const router = (): JsonObject =>
  extension('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router');
