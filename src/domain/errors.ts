import { fail, ok, type Result } from './result.ts';

/**
 * The closed list of error codes (design section 5.3), each with its HTTP status, its gRPC status
 * (google.rpc.Code) and its title. `docs/errors.md` holds the same list; a test keeps them equal.
 * A retired code never returns with another meaning.
 */
export const ERRORS = {
  tenant_missing: { status: 400, grpc: 3, title: 'The x-tenant-id header is missing' },
  tenant_invalid: { status: 400, grpc: 3, title: 'The x-tenant-id header is not one valid tenant id' },
  validation_failed: { status: 400, grpc: 3, title: 'The request does not pass validation' },
  request_malformed: { status: 400, grpc: 3, title: 'The request is malformed' },
  token_missing: { status: 401, grpc: 16, title: 'An access token is required' },
  token_invalid: { status: 401, grpc: 16, title: 'The access token is not valid' },
  token_expired: { status: 401, grpc: 16, title: 'The access token has expired' },
  session_revoked: { status: 401, grpc: 16, title: 'The session has been revoked' },
  mfa_required: { status: 401, grpc: 16, title: 'A second factor is required' },
  credentials_invalid: { status: 401, grpc: 16, title: 'The credentials are not valid' },
  tenant_forbidden: { status: 403, grpc: 7, title: 'No access to this tenant' },
  right_missing: { status: 403, grpc: 7, title: 'A required right is missing' },
  principal_disabled: { status: 403, grpc: 7, title: 'The principal is disabled' },
  step_up_required: { status: 403, grpc: 7, title: 'A more recent sign-in is required' },
  csrf_rejected: { status: 403, grpc: 7, title: 'The request was refused as a cross-site request' },
  tenant_unplaced: { status: 404, grpc: 5, title: 'The tenant has no placement for this service kind' },
  not_found: { status: 404, grpc: 5, title: 'Not found' },
  method_not_allowed: { status: 405, grpc: 12, title: 'The method is not allowed here' },
  request_timeout: { status: 408, grpc: 4, title: 'The request took too long to arrive' },
  conflict: { status: 409, grpc: 10, title: 'The request conflicts with the current state' },
  precondition_failed: { status: 412, grpc: 9, title: 'A precondition does not hold' },
  body_too_large: { status: 413, grpc: 8, title: 'The request body is too large' },
  unsupported_media_type: { status: 415, grpc: 3, title: 'The media type is not supported' },
  upgrade_required: { status: 426, grpc: 12, title: 'Another protocol is required' },
  rate_limited: { status: 429, grpc: 8, title: 'Too many requests' },
  headers_too_large: { status: 431, grpc: 8, title: 'The request headers are too large' },
  not_implemented: { status: 501, grpc: 12, title: 'Not implemented' },
  routing_unavailable: { status: 503, grpc: 14, title: 'Routing is not available' },
  upstream_unavailable: { status: 503, grpc: 14, title: 'The upstream is not available' },
  overloaded: { status: 503, grpc: 14, title: 'The gateway is overloaded' },
  storage_unavailable: { status: 503, grpc: 14, title: 'The storage is not available' },
  upstream_timeout: { status: 504, grpc: 4, title: 'The upstream took too long' },
} as const satisfies Record<string, { status: number; grpc: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;
export const ERROR_CODES = Object.keys(ERRORS) as readonly ErrorCode[];

/** One mistake in the input: where (JSON pointer, RFC 6901), which rule, and what to do about it. */
export interface FieldError {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

/** The expected failure of a use case: translated once, at the edge, into a problem document or a gRPC status. */
export interface Failure {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  /** Seconds after which a retry makes sense; becomes Retry-After. */
  readonly retryAfterSeconds?: number;
  /** The routing revision that stands in the way of a conflict or a precondition. */
  readonly currentRevision?: number;
}

export type Outcome<Value> = Result<Value, Failure>;
export const succeed = ok;

/** A failed outcome with a code of the closed list. */
export const refuse = (code: ErrorCode, detail: string, errors?: readonly FieldError[]) =>
  fail<Failure>(errors === undefined ? { code, detail } : { code, detail, errors });

/** What a problem document says of the request it answers. */
export interface ProblemContext {
  readonly requestId?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly decisionId?: string | undefined;
}

/** The problem document of a failure, RFC 9457, in the member order of the contract. */
export function problem(failure: Failure, context: ProblemContext): Record<string, unknown> {
  const entry = ERRORS[failure.code];
  return {
    type: `urn:gateway:error:${failure.code}`,
    title: entry.title,
    status: entry.status,
    detail: failure.detail,
    code: failure.code,
    ...(context.requestId === undefined ? {} : { request_id: context.requestId }),
    ...(context.correlationId === undefined ? {} : { correlation_id: context.correlationId }),
    ...(context.decisionId === undefined ? {} : { decision_id: context.decisionId }),
    ...(failure.currentRevision === undefined ? {} : { current_revision: failure.currentRevision }),
    ...(failure.errors === undefined ? {} : { errors: failure.errors }),
  };
}
