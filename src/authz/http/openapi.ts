import { ENDPOINTS, type EndpointRow } from '#domain/endpoints.ts';
import { ERROR_CODES, ERRORS, type ErrorCode } from '#domain/errors.ts';
import { HEADER } from '#domain/headers.ts';
import type { ApiRoute } from './api-route.ts';
import type { JsonSchema } from './schema.ts';

/** What any endpoint can answer besides its own errors. */
const COMMON_ERRORS: readonly ErrorCode[] = ['request_malformed', 'rate_limited', 'overloaded'];
const BODY_ERRORS: readonly ErrorCode[] = ['validation_failed', 'body_too_large', 'unsupported_media_type'];
const PRINCIPAL_ERRORS: readonly ErrorCode[] = [
  'token_missing',
  'token_invalid',
  'token_expired',
  'session_revoked',
  'principal_disabled',
];
const RIGHT_ERRORS: readonly ErrorCode[] = ['tenant_invalid', 'tenant_forbidden', 'right_missing'];

/** The OpenAPI 3.1 document of the API: the catalogue's rows with the schemas that the server validates by. */
export function buildOpenApi(routes: readonly ApiRoute[], publicUrl: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  const add = (row: EndpointRow, operation: Record<string, unknown>) => {
    paths[row.path] = { ...paths[row.path], [row.method.toLowerCase()]: operation };
  };
  for (const row of ENDPOINTS.filter((candidate) => candidate.target === 'api')) {
    const route = routes.find((candidate) => candidate.id === row.id);
    if (route !== undefined) add(row, operationOf(row, route));
    else if (row.id === 'openapi') add(row, SELF);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Gateway auth and admin API',
      version: '1',
      description: 'Errors are problem documents (RFC 9457).',
    },
    servers: [{ url: publicUrl }],
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { Problem: PROBLEM_SCHEMA },
    },
  };
}

const SELF = {
  operationId: 'openapi',
  summary: 'This document',
  responses: { 200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } } },
};

const PROBLEM_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { enum: ERROR_CODES },
    request_id: { type: 'string' },
    correlation_id: { type: 'string' },
    decision_id: { type: 'string' },
    current_revision: { type: 'integer', description: 'of routing, where it is why the request is refused' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['pointer', 'code', 'detail'],
        properties: { pointer: { type: 'string' }, code: { type: 'string' }, detail: { type: 'string' } },
      },
    },
  },
};

function operationOf(row: EndpointRow, route: ApiRoute): Record<string, unknown> {
  return {
    operationId: row.id,
    summary: route.summary,
    ...(row.access === 'public' ? {} : { security: [{ bearer: [] }] }),
    ...(row.action === undefined ? {} : { 'x-required-right': row.action }),
    parameters: [...pathParameters(row), ...queryParameters(route), ...headerParameters(row)],
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: route.body } } } }),
    responses: { ...successes(route), ...failures(row, route) },
  };
}

const pathParameters = (row: EndpointRow) =>
  [...row.path.matchAll(/\{([a-z_]+)\}/g)].map((match) => ({
    name: match[1],
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));

function queryParameters(route: ApiRoute): readonly Record<string, unknown>[] {
  const properties = route.query?.['properties'];
  return typeof properties === 'object' && properties !== null
    ? Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }))
    : [];
}

const headerParameters = (row: EndpointRow) =>
  row.tenant === 'ignored'
    ? []
    : [{ name: HEADER.tenantId, in: 'header', required: row.tenant === 'required', schema: { type: 'string' } }];

const successes = (route: ApiRoute) =>
  Object.fromEntries(
    Object.entries(route.responses).map(([status, { description, schema, contentType }]) => [
      status,
      {
        description,
        ...(schema === undefined && contentType === undefined
          ? {}
          : { content: { [contentType ?? 'application/json']: { schema: schema ?? { type: 'string' } } } }),
      },
    ]),
  );

/** One response per status, naming the codes it can carry. */
function failures(row: EndpointRow, route: ApiRoute): Record<string, unknown> {
  const codes = new Set<ErrorCode>([
    ...route.errors,
    ...COMMON_ERRORS,
    ...(route.body === undefined ? [] : BODY_ERRORS),
    ...(row.access === 'public' ? [] : PRINCIPAL_ERRORS),
    ...(row.access === 'right' ? RIGHT_ERRORS : []),
  ]);
  const byStatus = Map.groupBy(codes, (code) => ERRORS[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, members]) => [
      String(status),
      {
        description: members.join(', '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}
