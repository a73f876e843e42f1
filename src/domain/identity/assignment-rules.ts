import { matchesPattern, type Right, type Role } from '../access/roles.ts';
import type { FieldError } from '../errors.ts';

/** The built-in role that is held on the platform and never inside a tenant. */
export const PLATFORM_ADMIN = 'platform-admin';
const PLATFORM_ROLES: ReadonlySet<string> = new Set([PLATFORM_ADMIN]);

/** Where a role can be held. */
export const roleScope = (roleId: string): 'platform' | 'tenant' =>
  PLATFORM_ROLES.has(roleId) ? 'platform' : 'tenant';

/** The mistake of giving a role where it cannot be held, or undefined. `tenantId` null = the platform. */
export function checkRoleScope(roleId: string, tenantId: string | null): FieldError | undefined {
  const scope = roleScope(roleId);
  if (scope === 'platform' && tenantId !== null) {
    return {
      pointer: '/tenant_id',
      code: 'platform_role',
      detail: `the role ${roleId} is held on the platform: tenant_id must be null`,
    };
  }
  if (scope === 'tenant' && tenantId === null) {
    return {
      pointer: '/tenant_id',
      code: 'tenant_role',
      detail: `the role ${roleId} is held in a tenant: tenant_id must name one`,
    };
  }
  return undefined;
}

/** Whether each of the role's rights is covered by one of the rights held: nobody grants more than they have. */
export const coversRole = (held: readonly Right[], role: Role): boolean =>
  role.rights.every((wanted) =>
    held.some(
      (right) => matchesPattern(right.action, wanted.action) && matchesPattern(right.resource, wanted.resource),
    ),
  );
