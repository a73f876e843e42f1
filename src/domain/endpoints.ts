import { HEADER } from './headers.ts';
import type { ServiceKind } from './ids.ts';
import { LIMITS } from './limits.ts';

/** Who may call: anybody, anybody with a valid token, or a principal holding `action` on the resource. */
type Access = 'public' | 'principal' | 'right';

/**
 * One row of the endpoint catalogue: everything the gateway does with one endpoint, in one place.
 * xds makes routes of the rows (rows with the same Envoy treatment share one), ext_authz decides by the rows
 * themselves, and the API reference is checked against them. To add an endpoint, add a row (and for `api` its handler).
 */
export interface EndpointRow {
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path template: `{name}` stands for one non-empty segment, `{name...}` at the end for the rest. */
  readonly path: string;
  /** Whose upstream serves it: a shard of the tenant, the authz service itself, or Envoy alone. */
  readonly target: ServiceKind | 'api' | 'envoy';
  readonly access: Access;
  /** Needed right where access is `right`; the resource is the named path parameter or message field, else `*`. */
  readonly action?: string;
  readonly resource?: { readonly from: 'path' | 'message'; readonly name: string };
  /** Whether `x-tenant-id` must, may or must not be there. With `optional` an absent one means the platform. */
  readonly tenant: 'required' | 'optional' | 'ignored';
  /** Header by which whoever holds `action` on the platform names a shard, be the tenant there or not. */
  readonly shardHeader?: typeof HEADER.runnerShard;
  readonly bodyMaxBytes: number;
  readonly timeoutMs: number;
  /**
   * Which retries are safe (design section 5.6): `connect` while nothing was processed, `read` also when a connection
   * broke (nothing is written), `command` also at any time when there is a command id.
   */
  readonly retry: 'connect' | 'command' | 'read';
  /**
   * What limits callers of a public endpoint by their address: `credentials` where a request costs a password hash, sends
   * mail or tries a secret; absent: the general limit.
   */
  readonly guards?: 'credentials';
  /** Path of the native gRPC method when `path` is its JSON binding (both are one endpoint). */
  readonly grpcPath?: string;
}

const LITERALS = {
  api: {
    target: 'api',
    tenant: 'ignored',
    bodyMaxBytes: LIMITS.apiBodyMaxBytes,
    timeoutMs: LIMITS.apiTimeoutMs,
    retry: 'connect',
  },
} as const;

const publicApi = (id: string, method: EndpointRow['method'], path: string): EndpointRow => ({
  ...LITERALS.api,
  id,
  method,
  path,
  access: 'public',
});

const principalApi = (id: string, method: EndpointRow['method'], path: string): EndpointRow => ({
  ...LITERALS.api,
  id,
  method,
  path,
  access: 'principal',
});

const adminApi = (id: string, method: EndpointRow['method'], path: string, action: string): EndpointRow => ({
  ...LITERALS.api,
  id,
  method,
  path,
  access: 'right',
  action,
  tenant: 'optional',
});

export const COMMAND_GRPC_PATH = '/aggregate.gateway.v1.CommandService/SubmitCommand';

export const ENDPOINTS: readonly EndpointRow[] = [
  // Tenant traffic
  {
    id: 'command.submit',
    method: 'POST',
    path: '/v1/commands/{aggregate_type}/{aggregate_id}',
    grpcPath: COMMAND_GRPC_PATH,
    target: 'aggregate',
    access: 'right',
    action: 'command.submit',
    resource: { from: 'message', name: 'aggregate_type' },
    tenant: 'required',
    bodyMaxBytes: LIMITS.requestBodyMaxBytes,
    timeoutMs: LIMITS.upstreamTimeoutMs,
    retry: 'command',
  },
  {
    id: 'query.read',
    method: 'POST',
    path: '/v1/query/{view_type}',
    target: 'projection',
    access: 'right',
    action: 'query.read',
    resource: { from: 'path', name: 'view_type' },
    tenant: 'required',
    bodyMaxBytes: LIMITS.requestBodyMaxBytes,
    timeoutMs: LIMITS.upstreamTimeoutMs,
    retry: 'read',
  },
  ...(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const).map(
    (method): EndpointRow => ({
      id: `runner.${method.toLowerCase()}`,
      method,
      path: '/admin/runner/{rest...}',
      target: 'runner',
      access: 'right',
      action: 'runner.admin',
      tenant: 'required',
      shardHeader: HEADER.runnerShard,
      bodyMaxBytes: LIMITS.requestBodyMaxBytes,
      timeoutMs: LIMITS.upstreamTimeoutMs,
      retry: 'connect',
    }),
  ),

  // The gateway's own state
  { ...publicApi('health', 'GET', '/health'), target: 'envoy' },
  publicApi('ready', 'GET', '/ready'),
  publicApi('jwks', 'GET', '/.well-known/jwks.json'),
  publicApi('oauth.metadata', 'GET', '/.well-known/oauth-authorization-server'),
  publicApi('openapi', 'GET', '/openapi.json'),

  // Auth API
  { ...publicApi('auth.bootstrap', 'POST', '/v1/auth/bootstrap'), guards: 'credentials' },
  { ...publicApi('auth.signup', 'POST', '/v1/auth/signup'), guards: 'credentials' },
  publicApi('auth.verify_email', 'POST', '/v1/auth/verify-email'),
  publicApi('auth.verify_email_page', 'GET', '/v1/auth/verify-email'),
  { ...publicApi('auth.signin', 'POST', '/v1/auth/signin'), guards: 'credentials' },
  publicApi('auth.refresh', 'POST', '/v1/auth/refresh'),
  principalApi('auth.signout', 'POST', '/v1/auth/signout'),
  principalApi('auth.me', 'GET', '/v1/auth/me'),

  // Admin API: identity and access
  adminApi('iam.users.list', 'GET', '/admin/iam/users', 'iam.users.read'),
  adminApi('iam.users.get', 'GET', '/admin/iam/users/{user_id}', 'iam.users.read'),
  adminApi('iam.roles.list', 'GET', '/admin/iam/roles', 'iam.roles.read'),
  adminApi('iam.assignments.list', 'GET', '/admin/iam/assignments', 'iam.assignments.read'),
  adminApi('iam.assignments.create', 'POST', '/admin/iam/assignments', 'iam.assignments.write'),
  adminApi('iam.assignments.delete', 'DELETE', '/admin/iam/assignments/{assignment_id}', 'iam.assignments.write'),

  // Admin API: routing
  adminApi('routing.get', 'GET', '/admin/routing', 'routing.read'),
  adminApi('routing.revisions.list', 'GET', '/admin/routing/revisions', 'routing.read'),
  adminApi('routing.revisions.get', 'GET', '/admin/routing/revisions/{revision}', 'routing.read'),
  adminApi('routing.revisions.diff', 'GET', '/admin/routing/revisions/{revision}/diff', 'routing.read'),
  adminApi('routing.revisions.swap', 'GET', '/admin/routing/revisions/{revision}/swap', 'routing.read'),
  {
    ...adminApi('routing.revisions.push', 'POST', '/admin/routing/revisions', 'routing.write'),
    bodyMaxBytes: LIMITS.routingDocumentMaxBytes,
    timeoutMs: 60_000,
  },
  adminApi('routing.rollback', 'POST', '/admin/routing/rollback', 'routing.write'),
  adminApi('routing.reload', 'POST', '/admin/routing/reload', 'routing.write'),
  adminApi('routing.tenant', 'GET', '/admin/routing/tenants/{tenant}', 'routing.read'),
  adminApi('routing.status', 'GET', '/admin/routing/status', 'routing.read'),
];
