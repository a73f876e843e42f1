import type { Denied } from '#domain/access/decide.ts';
import { ERRORS, problem } from '#domain/errors.ts';
import { HEADER } from '#domain/headers.ts';
import { LIMITS } from '#domain/limits.ts';
import type { DeniedAnswer, Pair } from './wire/write-check-response.ts';

/** What the answer to a denied request depends on besides the denial. */
export interface DenialContext {
  readonly decisionId: string;
  /** As received; anything that is no clean id is left out of the answer. */
  readonly requestId: string;
  readonly correlationId: string;
  readonly contentType: string;
  /** Made from JSON by the transcoder: the client speaks HTTP, whatever the content type says. */
  readonly transcoded: boolean;
  /** Whether the request carried an authorization header. */
  readonly sentCredentials: boolean;
  /** The methods there are, where the method is the mistake. */
  readonly allow: string | undefined;
  /** What the client is told of a limit it is near to or over. */
  readonly rateFields: readonly Pair[] | undefined;
  readonly metadata: readonly Pair[];
}

/** What Envoy takes for gRPC: `application/grpc` and its encodings, not `application/grpc-web+json`. */
const GRPC = /^application\/grpc(?:\+|$)/;
const CLEAN_ID = new RegExp(`^[A-Za-z0-9._:-]{1,${LIMITS.correlationIdMaxChars}}$`);

/**
 * The answer for a denied request in the protocol of its client. Envoy makes the body of a native gRPC denial its
 * grpc-message and has a status table of its own, so native gRPC gets plain text and its statuses as headers; everybody
 * else gets a problem document (RFC 9457). gRPC-Web arrives here as native gRPC. Its filter overwrites the status on the
 * way back, hence the second header, by which Envoy restores it; the content type is Envoy's to choose for both.
 */
export function denialAnswer(denied: Denied, context: DenialContext): DeniedAnswer {
  const entry = ERRORS[denied.reason];
  const common: Pair[] = [
    [HEADER.decisionId, context.decisionId],
    [HEADER.gatewayError, denied.reason],
  ];
  if (denied.retryAfterSeconds !== undefined) common.push(['retry-after', String(denied.retryAfterSeconds)]);
  if (context.rateFields !== undefined) common.push(...context.rateFields);
  const isGrpc = GRPC.test(context.contentType) && !context.transcoded;
  if (isGrpc) {
    const status = String(entry.grpc);
    common.push(['grpc-status', status], [HEADER.gatewayGrpcStatus, status]);
    common.push(['grpc-message', grpcMessage(denied.detail)]);
  } else {
    if (entry.status === 401) common.push(['www-authenticate', challenge(denied, context)]);
    if (context.allow !== undefined) common.push(['allow', context.allow]);
    common.push(['content-type', 'application/problem+json']);
  }
  return {
    httpStatus: entry.status,
    grpcStatus: entry.grpc,
    headers: common,
    body: isGrpc ? denied.detail : problemText(denied, context),
    metadata: context.metadata,
  };
}

/** RFC 6750, 3: a request without credentials is told the scheme alone, any other what is wrong with its token. */
const challenge = (denied: Denied, context: DenialContext): string =>
  context.sentCredentials
    ? `Bearer error="invalid_token", error_description="${denied.detail.replaceAll('"', "'")}"`
    : 'Bearer';

function problemText(denied: Denied, context: DenialContext): string {
  const { reason: code, detail, errors } = denied;
  const failure = errors === undefined ? { code, detail } : { code, detail, errors };
  return JSON.stringify(
    problem(failure, {
      requestId: cleanId(context.requestId),
      correlationId: cleanId(context.correlationId),
      decisionId: context.decisionId,
    }),
  );
}

const cleanId = (text: string): string | undefined => (CLEAN_ID.test(text) ? text : undefined);

/** The percent-encoding of grpc-message (gRPC over HTTP/2, "Responses"). */
const grpcMessage = (text: string): string => encodeURIComponent(text).replaceAll('%20', ' ');
