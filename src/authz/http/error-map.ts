import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { ERRORS, type ErrorCode, type Failure, type FieldError, problem } from '#domain/errors.ts';
import { HEADER } from '#domain/headers.ts';
import { RecordError } from '#domain/identity/record-codec.ts';
import { StoreError } from '#ports/key-value-store.ts';
import { problemContext } from './request-context.ts';

/** What the HTTP library refuses by itself, in our words. The list is closed: anything else is a bug. */
const LIBRARY_ERRORS: Readonly<Record<string, { readonly code: ErrorCode; readonly detail: string }>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'unsupported_media_type', detail: 'send the body as application/json' },
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body_too_large', detail: 'the body is larger than this endpoint takes' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'request_malformed', detail: 'the body is empty' },
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'request_malformed', detail: 'the body is not JSON' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'request_malformed', detail: 'the body is not as long as announced' },
  FST_ERR_BAD_URL: { code: 'request_malformed', detail: 'the path is not well formed' },
  FST_ERR_ASYNC_CONSTRAINT: { code: 'request_malformed', detail: 'the request is not well formed' },
};

const FIELD_ERRORS_MAX_COUNT = 100;

/** The failure that an exception means for the caller, and whether it is a bug that an operator must see. */
export function failureOf(error: unknown): { readonly failure: Failure; readonly isBug: boolean } {
  if (error instanceof StoreError && error.kind !== 'invalid') {
    return error.kind === 'conflict'
      ? expected({ code: 'conflict', detail: 'another change came first' })
      : expected({ code: 'storage_unavailable', detail: 'the storage does not answer' });
  }
  if (error instanceof RecordError) {
    return { failure: { code: 'storage_unavailable', detail: 'a stored record is not readable' }, isBug: true };
  }
  if (isLibraryError(error)) {
    if (error.validation !== undefined) return expected(validationFailure(error));
    const known = LIBRARY_ERRORS[error.code];
    if (known !== undefined) return expected(known);
    // The JSON parser's own refusals (a syntax error, a __proto__ member) carry a status and no code.
    if (error.statusCode === 400) return expected({ code: 'request_malformed', detail: 'the body is not JSON' });
  }
  return { failure: { code: 'upstream_unavailable', detail: 'the request could not be carried out' }, isBug: true };
}

/** Answers with the problem document of a failure (RFC 9457) and the headers that belong to its status. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, failure: Failure): FastifyReply {
  const challenge = challengeOf(failure.code);
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  if (failure.retryAfterSeconds !== undefined) reply.header('retry-after', String(failure.retryAfterSeconds));
  // Bytes, because to a text the library adds a charset, which this media type does not have.
  return reply
    .code(ERRORS[failure.code].status)
    .header('content-type', 'application/problem+json')
    .header(HEADER.gatewayError, failure.code)
    .header('cache-control', 'no-store')
    .send(Buffer.from(JSON.stringify(problem(failure, problemContext(request))), 'utf8'));
}

/** Answers bytes that are no HTTP request: there is no request to answer, only the socket. */
export function answerClientError(error: Error & { readonly code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const failure = CLIENT_ERRORS[error.code ?? ''] ?? { code: 'request_malformed', detail: 'this is no HTTP request' };
  const body = JSON.stringify(problem(failure, {}));
  const { status } = ERRORS[failure.code];
  const headers = `content-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers}connection: close\r\n\r\n${body}`);
}

const CLIENT_ERRORS: Readonly<Record<string, Failure>> = {
  HPE_HEADER_OVERFLOW: { code: 'headers_too_large', detail: 'the headers are larger than this server takes' },
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'request_timeout', detail: 'the request did not arrive in time' },
};

/** RFC 6750, section 3: a request without a token is told the scheme only; a refused token is told why. */
function challengeOf(code: ErrorCode): string | undefined {
  if (ERRORS[code].status !== 401) return undefined;
  switch (code) {
    case 'token_invalid':
    case 'token_expired':
    case 'session_revoked':
      return `Bearer realm="gateway", error="invalid_token", error_description="${ERRORS[code].title}"`;
    default:
      return 'Bearer realm="gateway"';
  }
}

const expected = (failure: Failure) => ({ failure, isBug: false });

const isLibraryError = (error: unknown): error is FastifyError =>
  error instanceof Error && ('code' in error || 'statusCode' in error);

function validationFailure(error: FastifyError): Failure {
  const where = error.validationContext;
  const prefix = where === 'querystring' ? '/query' : where === 'params' ? '/path' : '';
  const errors = (error.validation ?? [])
    .slice(0, FIELD_ERRORS_MAX_COUNT)
    .map((mistake) => fieldError(prefix, mistake));
  return { code: 'validation_failed', detail: 'the request does not have the form this endpoint takes', errors };
}

interface SchemaMistake {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: Record<string, unknown>;
  readonly message?: string;
}

/** One mistake with a pointer to the member itself, also where the validator points to the object around it. */
function fieldError(prefix: string, mistake: SchemaMistake): FieldError {
  const at = (member: unknown) =>
    `${prefix}${mistake.instancePath}/${String(member).replaceAll('~', '~0').replaceAll('/', '~1')}`;
  switch (mistake.keyword) {
    case 'required':
      return { pointer: at(mistake.params['missingProperty']), code: 'required', detail: 'is required' };
    case 'additionalProperties':
      return { pointer: at(mistake.params['additionalProperty']), code: 'unknown_member', detail: 'is not known here' };
    default:
      return {
        pointer: `${prefix}${mistake.instancePath}`,
        code: mistake.keyword.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
        detail: mistake.message ?? 'is not valid',
      };
  }
}
