import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { readAssignment, readUser } from '#domain/identity/record-codec.ts';
import { type AssignmentRecord, iamKey, type UserRecord } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { withStorage } from '../commit/commit-decision.ts';

export interface Me {
  readonly user: UserRecord;
  readonly memberships: readonly AssignmentRecord[];
}

/** The caller's account and where they hold which role; at most `pageMaxCount` memberships. */
export function describeMe({ store }: { readonly store: KeyValueStore }) {
  return (userId: string): Promise<Outcome<Me>> =>
    withStorage(async () => {
      const [user, assignments] = await Promise.all([
        store.get(iamKey.user(userId)),
        store.list(`as.${userId}.`, { limit: LIMITS.pageMaxCount }),
      ]);
      if (user === undefined) return refuse('not_found', 'the account does not exist');
      return succeed({
        user: readUser(user.value),
        memberships: assignments.map((record) => readAssignment(record.value)),
      });
    });
}
