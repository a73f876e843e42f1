import { HEADER } from '#domain/headers.ts';
import { extension, type JsonObject } from './json.ts';
import { FILTERS, STAMP_METADATA } from './names.ts';

const decision = (key: string): string => `%DYNAMIC_METADATA(${FILTERS.extAuthz}:${key})%`;
const requestHeader = (name: string): string => `%REQ(${name.toUpperCase()})%`;
const responseHeader = (name: string): string => `%RESP(${name.toUpperCase()})%`;

/**
 * One JSON line per request. Paths are written without their query, so that no secret in one gets into the log.
 * `routed_revision` is the stamp of the route configuration, `decided_revision` what ext_authz decided by: equal unless
 * a held or substituted decision says so. Of a request refused before it was repaired only the response has clean ids.
 */
const FIELDS: JsonObject = {
  time: '%START_TIME%',
  request_id: requestHeader(HEADER.requestId),
  correlation_id: requestHeader(HEADER.correlationId),
  response_request_id: responseHeader(HEADER.requestId),
  response_correlation_id: responseHeader(HEADER.correlationId),
  trace_id: '%TRACE_ID%',
  span_id: '%SPAN_ID%',
  method: '%REQ(:METHOD)%',
  path: '%PATH(NQ:ORIG_OR_PATH)%',
  matched_path: '%PATH(NQ:PATH)%',
  authority: '%REQ(:AUTHORITY)%',
  protocol: '%PROTOCOL%',
  status: '%RESPONSE_CODE%',
  details: '%RESPONSE_CODE_DETAILS%',
  flags: '%RESPONSE_FLAGS%',
  grpc_status: '%GRPC_STATUS_NUMBER%',
  decision_id: decision('decision_id'),
  outcome: decision('outcome'),
  reason: decision('reason'),
  principal_id: decision('principal_id'),
  tenant_id: decision('tenant_id'),
  decided_revision: decision('revision'),
  revision_substituted: decision('revision_substituted'),
  decided_cluster: decision('cluster'),
  routed_revision: `%METADATA(VIRTUAL_HOST:${STAMP_METADATA.namespace}:${STAMP_METADATA.key})%`,
  route: '%ROUTE_NAME%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  bytes_in: '%BYTES_RECEIVED%',
  bytes_out: '%BYTES_SENT%',
  duration_ms: '%DURATION%',
  upstream_ms: '%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%',
  client: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  sni: '%REQUESTED_SERVER_NAME%',
  connection_end: '%CONNECTION_TERMINATION_DETAILS%',
};

/** The access log. @param path of the file, in Envoy's file system */
export const accessLog = (path: string): JsonObject =>
  extension('envoy.access_loggers.file', 'envoy.extensions.access_loggers.file.v3.FileAccessLog', {
    path,
    log_format: { json_format: FIELDS, omit_empty_values: true },
  });
