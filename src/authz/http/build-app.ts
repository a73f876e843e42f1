import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import { compileEndpoints } from '#domain/access/match-endpoint.ts';
import { ENDPOINTS, type EndpointRow } from '#domain/endpoints.ts';
import { type Failure, refuse } from '#domain/errors.ts';
import { HEADER } from '#domain/headers.ts';
import { ANONYMOUS } from '#domain/identity/audit.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Log } from '#platform/log.ts';
import type { Tracing } from '#platform/tracing/tracing.ts';
import type { ApiAnswer, ApiRoute } from './api-route.ts';
import type { Authenticate, Principal } from './authenticate.ts';
import { answerClientError, failureOf, sendProblem } from './error-map.ts';
import { buildOpenApi } from './openapi.ts';
import { parseJsonBodies } from './parse-json-body.ts';
import { DUPLICATE, problemContext, requestId, singleHeader } from './request-context.ts';
import { traceRequests } from './trace-requests.ts';

export interface AppOptions {
  readonly log: Log;
  readonly authenticate: Authenticate;
  /** The endpoints to serve; each names its row of the catalogue. `GET /openapi.json` is made of them. */
  readonly routes: readonly ApiRoute[];
  readonly publicUrl: string;
  /** Absent: there are no spans. */
  readonly tracing?: Tracing | undefined;
  /** Internal surface, not in the catalogue: Prometheus metrics as text. */
  readonly metrics: { readonly contentType: string; metrics(): Promise<string> };
}

/** Headers of every answer: nothing here is a page to frame, to sniff or to keep. */
const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
} as const;

/**
 * The auth and admin API as an app that does not listen yet. It validates by the routes' schemas, authenticates the
 * bearer token itself, and answers every mistake with a problem document through the one error map.
 */
export function buildApp(options: AppOptions): FastifyInstance {
  const loggerInstance: FastifyBaseLogger = options.log;
  const app = fastify({
    loggerInstance,
    // Envoy's access log is the record of requests; failures are logged below.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestId,
    bodyLimit: LIMITS.apiBodyMaxBytes,
    exposeHeadRoutes: false,
    // Envoy keeps its connections to us for longer than Node's default: it must be Envoy that closes first.
    keepAliveTimeout: 75_000,
    requestTimeout: 60_000,
    // A request that arrives while we end is answered as any other, with `connection: close`.
    return503OnClosing: false,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: true } },
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    clientErrorHandler: answerClientError,
  });
  // Exactly JSON: what a form or a script of another site can send without asking is refused (CSRF).
  app.removeContentTypeParser('text/plain');
  parseJsonBodies(app);
  app.addHook('onRequest', async (request, reply) => {
    const { correlationId } = problemContext(request);
    reply.headers(SECURITY_HEADERS).header(HEADER.requestId, request.id).header(HEADER.correlationId, correlationId);
  });
  if (options.tracing !== undefined) traceRequests(app, options.tracing);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(answerUnknown);
  app.get('/health', async () => ({ status: 'ok' }));
  app.get('/metrics', async (_, reply) =>
    reply.type(options.metrics.contentType).send(await options.metrics.metrics()),
  );

  const openapi = buildOpenApi(options.routes, options.publicUrl);
  app.get('/openapi.json', async (_, reply) => reply.header('cache-control', 'public, max-age=300').send(openapi));
  for (const route of options.routes) addRoute(app, route, options.authenticate);
  return app;
}

const API_ROWS = ENDPOINTS.filter((row) => row.target === 'api');
const MATCHER = compileEndpoints(API_ROWS);

function addRoute(app: FastifyInstance, route: ApiRoute, authenticate: Authenticate): void {
  const row = API_ROWS.find((candidate) => candidate.id === route.id);
  if (row === undefined) throw new Error(`${route.id} is no endpoint of the catalogue`);
  const principals = new WeakMap<FastifyRequest, Principal>();
  app.route({
    method: row.method,
    url: row.path.replaceAll(/\{([a-z_]+)\}/g, ':$1'),
    bodyLimit: row.bodyMaxBytes,
    schema: {
      ...(route.body === undefined ? {} : { body: route.body }),
      querystring: route.query ?? { type: 'object', additionalProperties: false },
    },
    // Before the body is read: strangers cannot make us parse anything large.
    onRequest: async (request, reply) => {
      const refused = admit(row, request, authenticate, principals);
      return refused === undefined ? undefined : sendProblem(request, reply, refused);
    },
    handler: async (request, reply) => {
      const outcome = await route.handle({
        body: request.body,
        query: request.query,
        params: decodedParams(request.params),
        principal: principals.get(request),
        context: callContext(request, principals.get(request)),
        header: (name) => oneHeader(request, name),
      });
      return outcome.ok ? sendAnswer(reply, outcome.value) : sendProblem(request, reply, outcome.error);
    },
  });
}

/** Authenticates the caller of a row that is not public. @returns what refuses the request */
function admit(
  row: EndpointRow,
  request: FastifyRequest,
  authenticate: Authenticate,
  principals: WeakMap<FastifyRequest, Principal>,
): Failure | undefined {
  const authorization = singleHeader(request, HEADER.authorization);
  const tenantId = singleHeader(request, HEADER.tenantId);
  if (authorization === DUPLICATE) {
    return refuse('request_malformed', 'the authorization header must be there at most once').error;
  }
  if (tenantId === DUPLICATE)
    return refuse('tenant_invalid', 'the x-tenant-id header must be there at most once').error;
  if (row.access === 'public') return undefined;
  const outcome = authenticate({ row, authorization, tenantId });
  if (!outcome.ok) return outcome.error;
  principals.set(request, outcome.value);
  return undefined;
}

function callContext(request: FastifyRequest, principal: Principal | undefined) {
  const { requestId: id, correlationId } = problemContext(request);
  const clientAddress = oneHeader(request, HEADER.clientAddress);
  const actor = principal === undefined ? ANONYMOUS : { id: principal.id, kind: principal.kind };
  return {
    actor,
    ...(id === undefined ? {} : { requestId: id }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(clientAddress === undefined ? {} : { clientAddress }),
  };
}

function sendAnswer(reply: FastifyReply, answer: ApiAnswer): FastifyReply {
  reply.code(answer.status);
  if (answer.headers !== undefined) reply.headers(answer.headers);
  const { body } = answer;
  return body === undefined ? reply.send() : reply.send(typeof body === 'string' ? Buffer.from(body, 'utf8') : body);
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { failure, isBug } = failureOf(error);
  // The error alone: a request's body, headers and query hold secrets.
  if (isBug) request.log.error({ err: error, request_id: request.id }, 'request failed');
  sendProblem(request, reply, failure);
}

/** A path that is no endpoint, or is one with another method. */
function answerUnknown(request: FastifyRequest, reply: FastifyReply): void {
  const match = MATCHER.match(request.method, request.url);
  if (match.kind === 'method_not_allowed') {
    reply.header('allow', match.allow);
    sendProblem(request, reply, { code: 'method_not_allowed', detail: `allowed here: ${match.allow}` });
  } else if (match.kind === 'malformed') {
    sendProblem(request, reply, { code: 'request_malformed', detail: 'the path is not well formed' });
  } else {
    sendProblem(request, reply, { code: 'not_found', detail: 'there is no such endpoint' });
  }
}

function decodedParams(params: unknown): Readonly<Record<string, string>> {
  if (typeof params !== 'object' || params === null) return {};
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, String(value)]));
}

function oneHeader(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}
