import { BUILT_IN_ROLES, type Role } from '#domain/access/roles.ts';
import { type Outcome, succeed } from '#domain/errors.ts';
import { readRole } from '#domain/identity/record-codec.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { listPage, type Page, type PageRequest } from './list-page.ts';

/** The built-in roles, on the first page, and the stored ones. */
export function listRoles({ store }: { readonly store: KeyValueStore }) {
  return async (page: PageRequest): Promise<Outcome<Page<Role>>> => {
    const stored = await listPage<Role>({ store, prefix: 'ro.', page, accept: (record) => readRole(record.value) });
    if (!stored.ok || page.cursor !== undefined) return stored;
    return succeed({ ...stored.value, items: [...BUILT_IN_ROLES, ...stored.value.items] });
  };
}
