import { BUILT_IN_ROLES, type Right, type Role } from '#domain/access/roles.ts';
import { type FieldError, type Outcome, refuse, succeed } from '#domain/errors.ts';
import { checkRoleScope, coversRole, PLATFORM_ADMIN } from '#domain/identity/assignment-rules.ts';
import { auditRecord } from '#domain/identity/audit.ts';
import { encodeRecord, readAssignment, readRole } from '#domain/identity/record-codec.ts';
import { type AssignmentRecord, iamKey } from '#domain/identity/records.ts';
import { isTenantId } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { type Attempt, commitDecision } from '../commit/commit-decision.ts';
import { type Applied, waitApplied } from '../commit/wait-applied.ts';
import type { IdentityServices } from '../identity/identity-services.ts';
import { assignmentWrites, newAssignment } from '../identity/new-records.ts';
import { enrolWrites } from '../identity/platform-admins.ts';
import { type AdminCaller, isInScope } from './caller.ts';

export interface AssignmentRequest {
  readonly principalId: string;
  /** null = the platform. */
  readonly tenantId: string | null;
  readonly roleId: string;
}

export interface AssignmentCreated {
  readonly assignment: AssignmentRecord;
  readonly revision: number;
  readonly applied: Applied;
}

type Services = Pick<IdentityServices, 'store' | 'secrets' | 'clock' | 'board'>;

const PRINCIPAL_ID = /^[A-Za-z0-9_-]{1,64}$/;
const ROLE_ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Gives a principal a role in a tenant or on the platform. Callers grant only within their own scope, and inside a
 * tenant only roles that have no right which they lack there. The same assignment twice is a `conflict`.
 * Whether the tenant is placed anywhere does not matter: a customer can get its people before its shards.
 */
export function createAssignment(services: Services) {
  return async (request: AssignmentRequest, caller: AdminCaller): Promise<Outcome<AssignmentCreated>> => {
    if (!isInScope(caller, request.tenantId)) {
      return request.tenantId === null
        ? refuse('right_missing', 'roles on the platform are given by administrators of the platform only')
        : refuse('tenant_forbidden', 'roles are given within the own tenant only');
    }
    const { secrets, clock, store } = services;
    const nowMs = clock.nowMs();
    const assignment = newAssignment(secrets, { ...request, createdBy: caller.context.actor.id, nowMs });
    const auditId = secrets.newId('aud');
    const audit = auditRecord({
      id: auditId,
      nowMs,
      context: caller.context,
      action: 'assignment.create',
      target: { type: 'assignment', id: assignment.id },
      tenantId: request.tenantId,
      data: { principal_id: request.principalId, role_id: request.roleId },
    });
    const outcome = await commitDecision({
      store,
      operationKey: iamKey.audit(auditId),
      attempt: async (): Promise<Attempt<number>> => {
        const refused = await checkRequest(services, request, caller);
        if (refused !== undefined) return { answer: refused };
        if ((await store.get(iamKey.assignment(assignment.principalId, assignment.id))) !== undefined) {
          return { answer: refuse('conflict', 'the principal holds this role there already') };
        }
        return {
          writes: [
            { key: iamKey.audit(auditId), value: encodeRecord(audit), expect: 0 },
            ...(await enrolWrites(store, assignment)),
            ...assignmentWrites(assignment),
          ],
          committed: (revision) => revision,
        };
      },
    });
    if (!outcome.ok) return outcome;
    const applied = await waitApplied(services.board, outcome.value);
    return succeed({ assignment, revision: outcome.value, applied });
  };
}

/** All mistakes of the request at once, or the right that the caller lacks; undefined when it may be done. */
async function checkRequest({ store }: Services, request: AssignmentRequest, caller: AdminCaller) {
  const mistakes: FieldError[] = [];
  if (request.tenantId !== null && !isTenantId(request.tenantId)) {
    mistakes.push({ pointer: '/tenant_id', code: 'tenant_id', detail: 'is no tenant id' });
  }
  const knownUser =
    PRINCIPAL_ID.test(request.principalId) && (await store.get(iamKey.user(request.principalId))) !== undefined;
  if (!knownUser) mistakes.push({ pointer: '/principal_id', code: 'unknown', detail: 'no such principal' });
  const role = await findRole({ store }, request.roleId);
  if (role === undefined) mistakes.push({ pointer: '/role_id', code: 'unknown', detail: 'no such role' });
  const misplaced = role === undefined ? undefined : checkRoleScope(role.id, request.tenantId);
  if (misplaced !== undefined) mistakes.push(misplaced);
  if (mistakes.length > 0 || role === undefined) {
    return refuse('validation_failed', 'the assignment cannot be made', mistakes);
  }
  if (caller.scope === null || (await holdsAllOf({ store }, caller, role))) return undefined;
  return refuse('right_missing', 'the role has rights that you do not have yourself');
}

/** Whether a tenant's administrator holds every right of the role: there, or as an administrator of the platform. */
async function holdsAllOf({ store }: Pick<Services, 'store'>, caller: AdminCaller, role: Role): Promise<boolean> {
  const stored = await store.list(`as.${caller.context.actor.id}.`, { limit: LIMITS.pageMaxCount });
  const own = stored.map((record) => readAssignment(record.value));
  if (own.some((held) => held.tenantId === null && held.roleId === PLATFORM_ADMIN)) return true;
  const rights: Right[] = [];
  for (const held of own.filter((candidate) => candidate.tenantId === caller.scope)) {
    rights.push(...((await findRole({ store }, held.roleId))?.rights ?? []));
  }
  return coversRole(rights, role);
}

async function findRole({ store }: Pick<Services, 'store'>, roleId: string): Promise<Role | undefined> {
  const builtIn = BUILT_IN_ROLES.find((role) => role.id === roleId);
  if (builtIn !== undefined || !ROLE_ID.test(roleId)) return builtIn;
  const stored = await store.get(iamKey.role(roleId));
  return stored === undefined ? undefined : readRole(stored.value);
}
