import { type Outcome, succeed } from '#domain/errors.ts';
import { readAssignment } from '#domain/identity/record-codec.ts';
import type { AssignmentRecord } from '#domain/identity/records.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { type AdminCaller, isInScope } from './caller.ts';
import { listPage, type Page, type PageRequest } from './list-page.ts';

const PRINCIPAL_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** The assignments within the caller's scope, of one principal or one tenant where asked for. */
export function listAssignments({ store }: { readonly store: KeyValueStore }) {
  return async (
    request: { readonly principalId?: string; readonly tenantId?: string; readonly page: PageRequest },
    caller: AdminCaller,
  ): Promise<Outcome<Page<AssignmentRecord>>> => {
    const { principalId, tenantId } = request;
    if (principalId !== undefined && !PRINCIPAL_ID.test(principalId)) return succeed({ items: [] });
    return listPage({
      store,
      prefix: principalId === undefined ? 'as.' : `as.${principalId}.`,
      page: request.page,
      accept: (record) => {
        const assignment = readAssignment(record.value);
        const wanted = tenantId === undefined || assignment.tenantId === tenantId;
        return wanted && isInScope(caller, assignment.tenantId) ? assignment : undefined;
      },
    });
  };
}
