import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { ProblemContext } from '#domain/errors.ts';
import { HEADER } from '#domain/headers.ts';
import { LIMITS } from '#domain/limits.ts';

const TOKEN = new RegExp(`^[A-Za-z0-9._:-]{1,${LIMITS.correlationIdMaxChars}}$`);
const DECISION_ID = /^dec_[a-z2-7]{26}$/;

/** The request id that Envoy gave, or a new one when the request came without Envoy. */
export function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  return wellFormed(request.headers[HEADER.requestId]) ?? randomUUID();
}

/** The ids that answers, problems, audit records and logs carry. A malformed correlation id is replaced (design 5.4). */
export function problemContext(request: FastifyRequest): Required<Omit<ProblemContext, 'decisionId'>> & ProblemContext {
  const decisionId = request.headers[HEADER.decisionId];
  return {
    requestId: request.id,
    correlationId: wellFormed(request.headers[HEADER.correlationId]) ?? request.id,
    // Informational only: it names the decision that let this request in, and is never trusted for anything.
    ...(typeof decisionId === 'string' && DECISION_ID.test(decisionId) ? { decisionId } : {}),
  };
}

/** The one value of a header; undefined when it is absent, `duplicate` when it came more than once. */
export function singleHeader(request: FastifyRequest, name: string): string | undefined | typeof DUPLICATE {
  // Node joins or drops repeated headers silently; only the raw list shows them.
  const values = request.raw.rawHeaders.filter(
    (_, index, all) => index % 2 === 1 && all[index - 1]?.toLowerCase() === name,
  );
  return values.length > 1 ? DUPLICATE : values[0];
}

export const DUPLICATE = Symbol('duplicate header');

function wellFormed(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && TOKEN.test(value) ? value : undefined;
}
