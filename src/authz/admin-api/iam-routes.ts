import type { AdminCaller } from '#app/access/caller.ts';
import { createAssignment } from '#app/access/create-assignment.ts';
import { deleteAssignment } from '#app/access/delete-assignment.ts';
import { getUser, listUsers } from '#app/access/find-users.ts';
import { listAssignments } from '#app/access/list-assignments.ts';
import { listRoles } from '#app/access/list-roles.ts';
import type { IdentityServices } from '#app/identity/identity-services.ts';
import type { Role } from '#domain/access/roles.ts';
import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import type { AssignmentRecord, UserRecord } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import { type ApiCall, type ApiRoute, defineRoute } from '../http/api-route.ts';
import { applied, etag, id, pageBody, pageLimit, pageOf, pageQuery } from '../http/bodies.ts';
import { flag, integer, list, nullable, object, text, time } from '../http/schema.ts';

type Services = Pick<IdentityServices, 'store' | 'secrets' | 'clock' | 'board'>;

const USER = object({
  id: id('user'),
  email: text({ maxLength: LIMITS.emailMaxChars }),
  email_verified: flag(),
  status: text({ maxLength: 16, description: 'active or disabled' }),
  created_at: time(),
});
const ASSIGNMENT = {
  id: id('assignment'),
  principal_id: id('user'),
  tenant_id: nullable(id('tenant; null = the platform')),
  role_id: id('role'),
  created_at: time(),
  created_by: id('who gave the role'),
};
const RIGHT = object({ action: text({ maxLength: 128 }), resource: text({ maxLength: 256 }) });

/** The endpoints of identity and access for administrators of the platform and of tenants. */
export function iamRoutes(services: Services): readonly ApiRoute[] {
  return [
    listUsersRoute(services),
    getUserRoute(services),
    listRolesRoute(services),
    listAssignmentsRoute(services),
    createAssignmentRoute(services),
    deleteAssignmentRoute(services),
  ];
}

/** The caller in the terms of the use cases. The server lets nobody without a principal come here. */
function callerOf({ principal, context }: ApiCall): Outcome<AdminCaller> {
  return principal === undefined
    ? refuse('token_missing', 'an access token is required')
    : succeed({ scope: principal.scope, context });
}

function listUsersRoute(services: Services): ApiRoute {
  const run = listUsers(services);
  return defineRoute({
    id: 'iam.users.list',
    summary: 'Users within the own scope; with email, the one with this address',
    query: pageQuery({ email: text({ maxLength: LIMITS.emailMaxChars }) }),
    responses: { 200: { description: 'Users', schema: pageOf(USER) } },
    errors: ['validation_failed', 'storage_unavailable'],
    handle: async (call) => {
      const caller = callerOf(call);
      if (!caller.ok) return caller;
      const { email } = call.query;
      const page = pageOfQuery(call.query);
      const outcome = await run({ page, ...(email === undefined ? {} : { email }) }, caller.value);
      return outcome.ok ? succeed({ status: 200, body: pageBody(outcome.value, userBody) }) : outcome;
    },
  });
}

function getUserRoute(services: Services): ApiRoute {
  const run = getUser(services);
  return defineRoute({
    id: 'iam.users.get',
    summary: 'One user',
    responses: { 200: { description: 'User', schema: USER } },
    errors: ['not_found', 'storage_unavailable'],
    handle: async (call) => {
      const caller = callerOf(call);
      if (!caller.ok) return caller;
      const outcome = await run(call.params['user_id'] ?? '', caller.value);
      if (!outcome.ok) return outcome;
      const { user, revision } = outcome.value;
      return succeed({ status: 200, body: userBody(user), headers: { etag: etag(revision) } });
    },
  });
}

function listRolesRoute(services: Services): ApiRoute {
  const run = listRoles(services);
  return defineRoute({
    id: 'iam.roles.list',
    summary: 'Roles: the built-in ones first',
    query: pageQuery({}),
    responses: { 200: { description: 'Roles', schema: pageOf(object({ id: id('role'), rights: list(RIGHT) })) } },
    errors: ['validation_failed', 'storage_unavailable'],
    handle: async ({ query }) => {
      const outcome = await run(pageOfQuery(query));
      return outcome.ok ? succeed({ status: 200, body: pageBody(outcome.value, roleBody) }) : outcome;
    },
  });
}

function listAssignmentsRoute(services: Services): ApiRoute {
  const run = listAssignments(services);
  return defineRoute({
    id: 'iam.assignments.list',
    summary: 'Assignments within the own scope, of one principal or one tenant where asked for',
    query: pageQuery({ principal_id: id('only of this principal'), tenant_id: id('only in this tenant') }),
    responses: { 200: { description: 'Assignments', schema: pageOf(object(ASSIGNMENT)) } },
    errors: ['validation_failed', 'storage_unavailable'],
    handle: async (call) => {
      const caller = callerOf(call);
      if (!caller.ok) return caller;
      const { principal_id, tenant_id } = call.query;
      const request = {
        page: pageOfQuery(call.query),
        ...(principal_id === undefined ? {} : { principalId: principal_id }),
        ...(tenant_id === undefined ? {} : { tenantId: tenant_id }),
      };
      const outcome = await run(request, caller.value);
      return outcome.ok ? succeed({ status: 200, body: pageBody(outcome.value, assignmentBody) }) : outcome;
    },
  });
}

function createAssignmentRoute(services: Services): ApiRoute {
  const run = createAssignment(services);
  return defineRoute({
    id: 'iam.assignments.create',
    summary: 'Gives a principal a role in a tenant, or on the platform (tenant_id null)',
    body: object({
      principal_id: id('user'),
      tenant_id: nullable(id('tenant; null = the platform')),
      role_id: id('role'),
    }),
    responses: { 201: { description: 'Given', schema: object({ ...ASSIGNMENT, revision: integer(), applied }) } },
    errors: ['conflict', 'storage_unavailable'],
    handle: async (call) => {
      const caller = callerOf(call);
      if (!caller.ok) return caller;
      const { principal_id, tenant_id, role_id } = call.body;
      const outcome = await run({ principalId: principal_id, tenantId: tenant_id, roleId: role_id }, caller.value);
      if (!outcome.ok) return outcome;
      const { assignment, revision, applied: state } = outcome.value;
      return succeed({ status: 201, body: { ...assignmentBody(assignment), revision, applied: state } });
    },
  });
}

function deleteAssignmentRoute(services: Services): ApiRoute {
  const run = deleteAssignment(services);
  return defineRoute({
    id: 'iam.assignments.delete',
    summary: 'Takes a role away',
    responses: {
      200: { description: 'Taken away', schema: object({ id: id('assignment'), revision: integer(), applied }) },
    },
    errors: ['not_found', 'conflict', 'storage_unavailable'],
    handle: async (call) => {
      const caller = callerOf(call);
      if (!caller.ok) return caller;
      const assignmentId = call.params['assignment_id'] ?? '';
      const outcome = await run(assignmentId, caller.value);
      return outcome.ok ? succeed({ status: 200, body: { id: assignmentId, ...outcome.value } }) : outcome;
    },
  });
}

const pageOfQuery = (query: { readonly limit?: string; readonly cursor?: string }) => ({
  limit: pageLimit(query.limit),
  ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
});

const userBody = (user: UserRecord) => ({
  id: user.id,
  email: user.email,
  email_verified: user.emailVerified,
  status: user.status,
  created_at: user.createdAt,
});

const roleBody = (role: Role) => ({
  id: role.id,
  rights: role.rights.map(({ action, resource }) => ({ action, resource })),
});

const assignmentBody = (assignment: AssignmentRecord) => ({
  id: assignment.id,
  principal_id: assignment.principalId,
  tenant_id: assignment.tenantId,
  role_id: assignment.roleId,
  created_at: assignment.createdAt,
  created_by: assignment.createdBy,
});
