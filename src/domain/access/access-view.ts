import { matchesPattern, type Role } from './roles.ts';

/** What decisions know of a principal. */
export interface Principal {
  readonly id: string;
  readonly kind: 'user' | 'service_account';
  readonly status: 'active' | 'disabled';
  /** Seconds since the epoch; tokens issued before it are refused. */
  readonly tokensValidAfter: number;
}

/** Who may do what, as one replica knows it: read-only, in memory, answered at once. */
export interface AccessView {
  principal(principalId: string): Principal | undefined;
  isSessionRevoked(sessionId: string): boolean;
  /** The roles a principal holds in a tenant, or (null) on the platform; a role that no longer exists is left out. */
  roles(principalId: string, tenantId: string | null): readonly Role[];
  /** Whether the principal holds any assignment in the tenant, of whatever role. */
  isMember(principalId: string, tenantId: string): boolean;
}

/**
 * Whether one of the roles held there covers the action on the resource. `resource` undefined asks for the action on
 * anything at all.
 */
export function holdsRight(
  view: AccessView,
  where: { readonly principalId: string; readonly tenantId: string | null },
  action: string,
  resource: string | undefined,
): boolean {
  for (const role of view.roles(where.principalId, where.tenantId)) {
    for (const right of role.rights) {
      if (!matchesPattern(right.action, action)) continue;
      if (resource === undefined || matchesPattern(right.resource, resource)) return true;
    }
  }
  return false;
}
