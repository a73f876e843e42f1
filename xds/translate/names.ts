/** Every name that Envoy knows something of ours by. Names of shard clusters come from `clusterName` of the domain. */
export const NAMES = {
  plainListener: 'edge-plain',
  tlsListener: 'edge-tls',
  routes: 'gateway',
  certificate: 'edge',
} as const;

/** Clusters of envoy/bootstrap.yaml. A resource of the same name would silently lose against them. */
export const STATIC_CLUSTERS = { xds: 'xds', authz: 'authz', authzApi: 'authz_api', otlp: 'otlp' } as const;

/** Filters that routes or other filters refer to; the rest is named in its own file. */
export const FILTERS = {
  extAuthz: 'envoy.filters.http.ext_authz',
  fieldExtraction: 'envoy.filters.http.grpc_field_extraction',
} as const;

/** What the routes tell ext_authz: `CONTEXT_EXTENSION` of its request scanner is the other side. */
export const CONTEXT = { stamp: 'stamp', target: 'target' } as const;

/** Where the stamp stands for the access log: route metadata, because Envoy redacts context extensions. */
export const STAMP_METADATA = { namespace: 'gateway', key: 'revision' } as const;

/** Marks replies that Envoy made before it had ids for the request; never leaves the gateway. */
export const EARLY_REPLY_HEADER = 'x-gateway-early-reply';
