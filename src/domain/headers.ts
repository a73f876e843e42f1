/** Every header name the gateway reads or writes (design section 5.4), lower case as on HTTP/2. */
export const HEADER = {
  authorization: 'authorization',
  tenantId: 'x-tenant-id',
  correlationId: 'x-correlation-id',
  requestId: 'x-request-id',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  /** Names a command whose message does not; to nodes: the id of every command, by whichever way it came. */
  commandId: 'x-command-id',
  /** What HTTP clients call the same; `x-command-id` where both are meant. */
  idempotencyKey: 'idempotency-key',
  /** Names the runner shard to go to, for platform admins, in the place of the tenant's; never reaches a node. */
  runnerShard: 'x-runner-shard',
  principalId: 'x-principal-id',
  principalKind: 'x-principal-kind',
  decisionId: 'x-decision-id',
  placementEpoch: 'x-placement-epoch',
  routingRevision: 'x-routing-revision',
  servedBy: 'x-served-by',
  gatewayError: 'x-gateway-error',
  /** Set by Envoy alone, to the address it accepted the connection from. */
  clientAddress: 'x-envoy-external-address',
  /** Set by ext_authz alone: names the cluster that a located route sends the request to. */
  gatewayCluster: 'x-gateway-cluster',
  /** The command id, for the retry policy: as a JSON list, because Envoy prints the field of a message so. */
  gatewayCommandId: 'x-gateway-command-id',
  /** Never set by anybody: a route by this header leads nowhere. */
  gatewayUnset: 'x-gateway-unset',
  /** The gRPC status of a refusal, while Envoy's gRPC-Web filter puts its own in the place of it. */
  gatewayGrpcStatus: 'x-gateway-grpc-status',
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
