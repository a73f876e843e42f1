import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { parseEmail } from '#domain/identity/email.ts';
import { readAssignment, readEmail, readUser } from '#domain/identity/record-codec.ts';
import { iamKey, type UserRecord } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import type { Secrets } from '#ports/secrets.ts';
import { withStorage } from '../commit/commit-decision.ts';
import type { AdminCaller } from './caller.ts';
import { listPage, type Page, type PageRequest } from './list-page.ts';

interface Services {
  readonly store: KeyValueStore;
  readonly secrets: Pick<Secrets, 'emailToken'>;
}

const USER_ID = /^[A-Za-z0-9_-]{1,64}$/;
const notFound = () => refuse('not_found', 'no such user');

/** One user with the revision of the record. Who is no member of the caller's tenant is `not_found`, as if unknown. */
export function getUser({ store }: Pick<Services, 'store'>) {
  return (
    userId: string,
    caller: AdminCaller,
  ): Promise<Outcome<{ readonly user: UserRecord; readonly revision: number }>> =>
    withStorage(async () => {
      if (!USER_ID.test(userId)) return notFound();
      const [stored, visible] = await Promise.all([
        store.get(iamKey.user(userId)),
        isVisible({ store }, userId, caller),
      ]);
      return stored === undefined || !visible
        ? notFound()
        : succeed({ user: readUser(stored.value), revision: stored.revision });
    });
}

/** The users within the caller's scope, or the one with an address. */
export function listUsers({ store, secrets }: Services) {
  return (
    request: { readonly email?: string; readonly page: PageRequest },
    caller: AdminCaller,
  ): Promise<Outcome<Page<UserRecord>>> =>
    request.email === undefined
      ? listPage({
          store,
          prefix: 'u.',
          page: request.page,
          accept: async (record) => {
            const user = readUser(record.value);
            return (await isVisible({ store }, user.id, caller)) ? user : undefined;
          },
        })
      : findByEmail({ store, secrets }, request.email, caller);
}

function findByEmail(
  { store, secrets }: Services,
  address: string,
  caller: AdminCaller,
): Promise<Outcome<Page<UserRecord>>> {
  return withStorage(async () => {
    const email = parseEmail(address);
    const index = email.ok ? await store.get(iamKey.email(secrets.emailToken(email.value.canonical))) : undefined;
    if (index === undefined) return succeed({ items: [] });
    const found = await getUser({ store })(readEmail(index.value).userId, caller);
    if (found.ok) return succeed({ items: [found.value.user] });
    return found.error.code === 'not_found' ? succeed({ items: [] }) : found;
  });
}

/** Administrators of the platform see everybody, those of a tenant see who holds a role in it. */
async function isVisible({ store }: Pick<Services, 'store'>, userId: string, caller: AdminCaller): Promise<boolean> {
  if (caller.scope === null) return true;
  const held = await store.list(`as.${userId}.`, { limit: LIMITS.pageMaxCount });
  return held.some((record) => readAssignment(record.value).tenantId === caller.scope);
}
