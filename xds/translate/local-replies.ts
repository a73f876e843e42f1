import { ERRORS, type ErrorCode } from '#domain/errors.ts';
import { HEADER } from '#domain/headers.ts';
import { type JsonObject, setHeader } from './json.ts';
import { allOf, anyOf, hasDetails, hasFlag, hasHeader, type ReplyFilter, statusIs } from './local-reply-filters.ts';
import { EARLY_REPLY_HEADER, FILTERS } from './names.ts';
import { localReplyIds } from './request-ids.ts';

/** One kind of answer that Envoy makes itself, and what the client is told instead of Envoy's own words. */
interface Reply {
  readonly code: ErrorCode;
  readonly when: ReplyFilter;
  /** Never what Envoy says of an upstream: its words hold addresses. */
  readonly detail: string;
  /** What the document has besides. */
  readonly members?: JsonObject;
}

const ENVOYS_WORDS = '%LOCAL_REPLY_BODY%';

/**
 * Replies made before the filters ran, recognised by their details (this list follows Envoy upgrades). The presence of
 * an id says nothing, since clients send ids.
 */
const EARLY_DETAILS =
  "response.code_details.startsWith('http1.') || response.code_details.startsWith('http2.') || " +
  "response.code_details.startsWith('http3.') || response.code_details in ['path_normalization_failed', 'overload', " +
  "'low_version', 'missing_host_header', 'absolute_path_rejected', 'missing_path_rejected', 'upgrade_failed']";

const EARLY_BY_STATUS: readonly Reply[] = [
  { code: 'request_malformed', when: statusIs(400), detail: 'the request breaks the rules of HTTP or of this gateway' },
  { code: 'upgrade_required', when: statusIs(403), detail: 'this upgrade is not offered' },
  { code: 'not_found', when: statusIs(404), detail: 'there is no such endpoint' },
  { code: 'upgrade_required', when: statusIs(426), detail: 'HTTP/1.1 or newer is required' },
  { code: 'headers_too_large', when: statusIs(431), detail: 'the request headers are too many or too large' },
  { code: 'not_implemented', when: statusIs(501), detail: 'the request uses a part of HTTP that is not offered' },
  { code: 'overloaded', when: statusIs(503), detail: 'the gateway takes no more requests at the moment' },
  { code: 'request_malformed', when: statusIs(400, 'GE'), detail: 'the request cannot be read' },
];
const EARLY = EARLY_BY_STATUS.map((reply): Reply => ({ ...reply, when: allOf(reply.when, hasDetails(EARLY_DETAILS)) }));

const UPSTREAM_FAULTS = ['UF', 'UC', 'UH', 'URX', 'UR', 'LR'];

/** `/ready` of an Envoy that is ending, in the form in which the authz service says that it is not ready. */
const DRAINING: Reply = {
  code: 'routing_unavailable',
  when: hasFlag('LH'),
  detail: 'not ready: draining',
  members: {
    conditions: [{ name: 'draining', ok: false, detail: 'this gateway ends, and still serves what comes meanwhile' }],
  },
};

const LATE: readonly Reply[] = [
  DRAINING,
  { code: 'routing_unavailable', when: hasFlag('UAEX'), detail: 'no decision could be made about this request' },
  { code: 'upstream_timeout', when: anyOf(hasFlag('UT', 'DT', 'SI'), statusIs(504)), detail: 'no answer in time' },
  { code: 'overloaded', when: hasFlag('UO', 'OM'), detail: 'too many requests are under way' },
  {
    code: 'upstream_unavailable',
    when: allOf(hasFlag(...UPSTREAM_FAULTS), statusIs(500, 'GE')),
    detail: 'the service behind the gateway cannot be reached',
  },
  {
    code: 'validation_failed',
    when: allOf(statusIs(400), hasDetails("response.code_details.contains('grpc_json_transcode_failure')")),
    detail: ENVOYS_WORDS,
  },
  { code: 'request_malformed', when: statusIs(400), detail: 'the request cannot be read' },
  {
    code: 'request_malformed',
    when: allOf(statusIs(403), hasDetails("response.code_details.startsWith('rbac_access_denied')")),
    detail: 'the request names several hosts',
  },
  { code: 'csrf_rejected', when: statusIs(403), detail: 'the request comes from another site' },
  { code: 'not_found', when: statusIs(404), detail: 'there is no such endpoint' },
  { code: 'method_not_allowed', when: statusIs(405), detail: 'this endpoint has other methods' },
  { code: 'request_timeout', when: statusIs(408), detail: 'the request did not arrive in time' },
  { code: 'body_too_large', when: statusIs(413), detail: 'the request body is too large' },
  { code: 'unsupported_media_type', when: statusIs(415), detail: 'the content type is not supported' },
  { code: 'upgrade_required', when: statusIs(426), detail: 'another protocol is required' },
  { code: 'rate_limited', when: statusIs(429), detail: 'too many requests; try again later' },
  { code: 'headers_too_large', when: statusIs(431), detail: 'the request headers are too many or too large' },
  { code: 'not_implemented', when: statusIs(501), detail: 'this is not offered' },
  // No flag but 503: a route without a cluster (NC).
  { code: 'routing_unavailable', when: statusIs(503), detail: 'there is no place to send this request to' },
  { code: 'request_malformed', when: statusIs(400, 'GE'), detail: 'the request was refused' },
];

/**
 * Everything Envoy answers itself, in the gateway's own words: a problem document (RFC 9457), or plain text and the
 * right status for native gRPC, which Envoy makes the grpc-message of. The first filter that matches decides. Answers
 * of ext_authz and of direct responses stay as they are, but get their ids.
 */
export const localReplies = (): JsonObject => ({
  mappers: [
    ...EARLY.map(earlyGrpcWebMapper),
    ...EARLY.map((reply) => grpcMapper(reply, { early: true })),
    ...EARLY.map((reply) => problemMapper(reply, { early: true })),
    untouched(allOf(hasDetails("response.code_details == 'direct_response'"), statusIs(399, 'LE')), 'application/json'),
    { ...untouched(allOf(isDenial, isNativeGrpc)), status_code: 200 },
    untouched(isDenial, 'application/problem+json'),
    ...LATE.map((reply) => grpcMapper(reply, { early: false })),
    ...LATE.map((reply) => problemMapper(reply, { early: false })),
  ],
});

const isDenial = hasDetails("response.code_details == 'ext_authz_denied'");

/**
 * Native gRPC, and gRPC-Web behind the filter that makes native gRPC of it. A request made of JSON by the transcoder has
 * the content type too; its client speaks HTTP.
 */
const isNativeGrpc = allOf(
  hasHeader('content-type', { string_match: { prefix: 'application/grpc' } }),
  hasHeader('x-envoy-original-method', { present_match: true, invert_match: true }),
);

const untouched = (filter: ReplyFilter, contentType?: string): JsonObject => ({
  filter,
  headers_to_add: localReplyIds({ early: false }),
  body_format_override: {
    ...(contentType === undefined ? {} : { content_type: contentType }),
    text_format_source: { inline_string: ENVOYS_WORDS },
  },
});

const commonHeaders = ({ code }: Reply, { early }: { readonly early: boolean }): JsonObject[] => [
  ...(early ? [setHeader(EARLY_REPLY_HEADER, '1')] : []),
  ...localReplyIds({ early }),
  setHeader(HEADER.gatewayError, code),
];

/**
 * Envoy's own table of gRPC statuses is mostly not ours; a header that is there wins over it. Clients of gRPC-Web look at
 * the HTTP status first and take a gRPC status of their own from it, hence the 200, which native gRPC has anyway.
 */
const grpcMapper = (reply: Reply, when: { readonly early: boolean }): JsonObject => {
  const status = String(ERRORS[reply.code].grpc);
  return {
    filter: allOf(isNativeGrpc, reply.when),
    ...(when.early ? {} : { status_code: 200 }),
    headers_to_add: [
      ...commonHeaders(reply, when),
      setHeader('grpc-status', status),
      ...(when.early ? [] : [setHeader(HEADER.gatewayGrpcStatus, status)]),
    ],
    body_format_override: { text_format_source: { inline_string: reply.detail } },
  };
};

/** What the gRPC-Web filter makes of a reply; an early one goes through no filter. */
const earlyGrpcWebMapper = (reply: Reply): JsonObject => ({
  filter: allOf(hasHeader('content-type', { string_match: { prefix: 'application/grpc-web' } }), reply.when),
  status_code: 200,
  headers_to_add: [
    ...commonHeaders(reply, { early: true }),
    setHeader('grpc-status', String(ERRORS[reply.code].grpc)),
    setHeader('grpc-message', reply.detail),
  ],
  body_format_override: { content_type: 'application/grpc-web+proto', text_format_source: { inline_string: '' } },
});

const problemMapper = (reply: Reply, when: { readonly early: boolean }): JsonObject => {
  const { status, title } = ERRORS[reply.code];
  return {
    filter: reply.when,
    status_code: status,
    headers_to_add: commonHeaders(reply, when),
    body_format_override: {
      content_type: 'application/problem+json',
      omit_empty_values: true,
      json_format: {
        type: `urn:gateway:error:${reply.code}`,
        title,
        status,
        detail: reply.detail,
        code: reply.code,
        request_id: `%RESP(${HEADER.requestId.toUpperCase()})%`,
        correlation_id: `%RESP(${HEADER.correlationId.toUpperCase()})%`,
        decision_id: `%DYNAMIC_METADATA(${FILTERS.extAuthz}:decision_id)%`,
        ...reply.members,
      },
    },
  };
};
