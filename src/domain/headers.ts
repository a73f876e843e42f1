/** Every header name the gateway reads or writes (design section 5.4), lower case as on HTTP/2. */
export const HEADER = {
  authorization: 'authorization',
  tenantId: 'x-tenant-id',
  correlationId: 'x-correlation-id',
  requestId: 'x-request-id',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  idempotencyKey: 'idempotency-key',
  principalId: 'x-principal-id',
  principalKind: 'x-principal-kind',
  decisionId: 'x-decision-id',
  placementEpoch: 'x-placement-epoch',
  routingRevision: 'x-routing-revision',
  servedBy: 'x-served-by',
  gatewayError: 'x-gateway-error',
  /** Set by ext_authz alone: names the cluster that a located route sends the request to. */
  gatewayCluster: 'x-gateway-cluster',
  /** The command id of the final message, for the retry policy. */
  gatewayCommandId: 'x-gateway-command-id',
  /** Never set by anybody: a route by this header leads nowhere. */
  gatewayUnset: 'x-gateway-unset',
} as const;

/** Request headers that only the gateway may set: stripped from what a client sends, before anything reads them. */
export const STRIPPED_PREFIXES = ['x-gateway-', 'x-principal-', 'x-placement-', 'x-envoy-'] as const;
export const STRIPPED_NAMES = [
  HEADER.decisionId,
  HEADER.routingRevision,
  HEADER.servedBy,
  'x-forwarded-host',
  'x-real-ip',
  'x-http-method-override',
  'x-original-url',
  'x-rewrite-url',
] as const;

/** The value ext_authz gives `x-gateway-cluster` for endpoints served by the authz service itself. */
export const API_CLUSTER = 'api';
