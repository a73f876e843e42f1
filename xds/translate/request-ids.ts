import { HEADER } from '#domain/headers.ts';
import { LIMITS } from '#domain/limits.ts';
import { type JsonObject, setHeader } from './json.ts';
import { FILTERS, SAMPLED_HEADER } from './names.ts';

/**
 * The ids of a request in Envoy's terms. All rules are CEL, whose regular expressions are bounded in size (counted
 * repetitions over about 16 do not load), hence `size()` beside `matches()`. A missing key is an error, hence `in`.
 */
const value = (name: string): string => `request.headers['${name}']`;
const clean = (name: string): string =>
  `'${name}' in request.headers && size(${value(name)}) <= ${LIMITS.correlationIdMaxChars} && ` +
  `${value(name)}.matches('^[A-Za-z0-9._:-]+$')`;

/** A client's id when it is one of ours in form, else nothing. */
const cleanValue = (name: string): string => `%CEL(${clean(name)} ? ${value(name)} : '')%`;

const trace = value(HEADER.traceparent);

/**
 * W3C Trace Context, version 00: fixed size and form, neither id all zeros. Duplicates arrive joined by a comma and
 * fail. An invalid one must not reach the tracer: Envoy then makes no span, and the bad value would go upstream.
 */
const validTraceparent = [
  `'${HEADER.traceparent}' in request.headers`,
  `size(${trace}) == 55`,
  `${trace}.matches('^00-[0-9a-f]+-[0-9a-f]{16}-[0-9a-f]{2}$')`,
  `!${trace}.startsWith('00-${'0'.repeat(32)}-')`,
  `!${trace}.contains('-${'0'.repeat(16)}-')`,
].join(' && ');

const STASH = { traceparent: 'x-gateway-traceparent', tracestate: 'x-gateway-tracestate', id: 'x-gateway-id' } as const;

const append = (key: string, text: string): JsonObject => ({ append: setHeader(key, text) });
const requestHeader = (name: string): string => `%REQ(${name.toUpperCase()})%`;

/**
 * Repairs what a client sent before anything uses it. An empty value neither overwrites nor removes a header, so a
 * valid value is set aside, the original removed, and the value put back.
 */
export function repairedIds(): JsonObject[] {
  const state = value(HEADER.tracestate);
  const keepsState =
    `'${STASH.traceparent}' in request.headers && '${HEADER.tracestate}' in request.headers && ` +
    `size(${state}) <= ${LIMITS.tracestateMaxBytes}`;
  return [
    append(STASH.traceparent, `%CEL(${validTraceparent} ? ${trace} : '')%`),
    append(STASH.tracestate, `%CEL(${keepsState} ? ${state} : '')%`),
    { remove: HEADER.traceparent },
    { remove: HEADER.tracestate },
    append(HEADER.traceparent, requestHeader(STASH.traceparent)),
    append(HEADER.tracestate, requestHeader(STASH.tracestate)),
    { remove: STASH.traceparent },
    { remove: STASH.tracestate },
    append(STASH.id, cleanValue(HEADER.correlationId)),
    append(HEADER.correlationId, '%UNIQUE_ID%'),
    append(HEADER.correlationId, requestHeader(STASH.id)),
    { remove: STASH.id },
  ];
}

/** CEL: whether the client of a request with a trace wants it recorded (the flag `sampled`), else something else. */
export const sampledOr = (otherwise: string): string =>
  `('${HEADER.traceparent}' in request.headers ? ${trace}.matches('[13579bdf]$') : ${otherwise})`;

/** This request's place in its trace, for clients and for nodes. */
export const traceparent = `00-%TRACE_ID%-%SPAN_ID%-%CEL(${sampledOr(`'${SAMPLED_HEADER}' in request.headers`)} ? '01' : '00')%`;

/**
 * The ids on every response that has gone through the filters. That of the decision too, whoever answered: an error of a
 * shard or of the API is looked up by it as a denial is.
 */
export const responseIds = (): JsonObject[] => [
  setHeader(HEADER.traceparent, traceparent),
  setHeader(HEADER.correlationId, requestHeader(HEADER.correlationId)),
  setHeader(HEADER.requestId, requestHeader(HEADER.requestId)),
  setHeader(HEADER.decisionId, `%DYNAMIC_METADATA(${FILTERS.extAuthz}:decision_id)%`),
];

/**
 * The ids on a reply made by Envoy itself, before its body is written, because the body repeats them. Early replies
 * are made before the request was repaired: the client's values are checked here again, and there is no trace yet.
 */
export const localReplyIds = (options: { readonly early: boolean }): JsonObject[] => [
  setHeader(HEADER.requestId, '%UNIQUE_ID%'),
  // Before the repair the request id is the client's own word; after it, Envoy's.
  ...(options.early ? [] : [setHeader(HEADER.requestId, cleanValue(HEADER.requestId))]),
  setHeader(HEADER.correlationId, '%UNIQUE_ID%'),
  setHeader(HEADER.correlationId, cleanValue(HEADER.correlationId)),
  ...(options.early ? [] : [setHeader(HEADER.traceparent, traceparent)]),
];
