import type { CallContext } from '#domain/identity/audit.ts';

/** Who uses the admin API, and on whose behalf: the whole platform (null) or one tenant. */
export interface AdminCaller {
  readonly scope: string | null;
  readonly context: CallContext;
}

/** Whether what belongs to `tenantId` (null = the platform) lies within the caller's scope. */
export const isInScope = (caller: AdminCaller, tenantId: string | null): boolean =>
  caller.scope === null || caller.scope === tenantId;
