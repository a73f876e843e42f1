/** Every name that Envoy knows something of ours by. Names of shard clusters come from `clusterName` of the domain. */
export const NAMES = {
  plainListener: 'edge-plain',
  tlsListener: 'edge-tls',
  quicListener: 'edge-quic',
  routes: 'gateway',
  certificate: 'edge',
} as const;

/**
 * Envoy's own certificate inside and the CA it trusts there: SDS secrets in files of these names, in Envoy's file system
 * (envoy/sds-identity.yaml, envoy/sds-trust.yaml).
 */
export const INTERNAL_SECRETS = {
  identity: { name: 'internal_identity', file: 'sds-identity.yaml' },
  trust: { name: 'internal_trust', file: 'sds-trust.yaml' },
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

/**
 * On a request that is to be recorded. Envoy's word for it (`client_sampling`): of all that it decides by, only a header can
 * also be told to others. A client's own is removed.
 */
export const SAMPLED_HEADER = 'x-client-trace-id';
