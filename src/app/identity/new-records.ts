import { encodeRecord } from '#domain/identity/record-codec.ts';
import {
  type AssignmentIndexRecord,
  type AssignmentRecord,
  type EmailRecord,
  IAM_SCHEMA,
  iamKey,
  type PasswordRecord,
  type UserRecord,
} from '#domain/identity/records.ts';
import type { Write } from '#ports/key-value-store.ts';
import type { Secrets } from '#ports/secrets.ts';

/** A user that begins now. */
export const newUser = (options: {
  readonly id: string;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly nowMs: number;
}): UserRecord => ({
  schema: IAM_SCHEMA,
  id: options.id,
  email: options.email,
  emailVerified: options.emailVerified,
  status: 'active',
  tokensValidAfter: 0,
  createdAt: new Date(options.nowMs).toISOString(),
});

/** The user, its unique address and its password: all three or none. */
export function newUserWrites(options: {
  readonly user: UserRecord;
  readonly emailKey: string;
  readonly passwordHash: string;
}): readonly Write[] {
  const { user } = options;
  const emailRecord: EmailRecord = { schema: IAM_SCHEMA, userId: user.id };
  const password: PasswordRecord = { schema: IAM_SCHEMA, hash: options.passwordHash, changedAt: user.createdAt };
  return [
    { key: options.emailKey, value: encodeRecord(emailRecord), expect: 0 },
    { key: iamKey.password(user.id), value: encodeRecord(password), expect: 0 },
    { key: iamKey.user(user.id), value: encodeRecord(user), expect: 0 },
  ];
}

/**
 * An assignment that begins now. Its id follows from who, where and which role, so the same one cannot be made twice,
 * not even by two callers at once: the second commit finds its key taken.
 */
export const newAssignment = (
  secrets: Pick<Secrets, 'derivedId'>,
  options: Pick<AssignmentRecord, 'principalId' | 'tenantId' | 'roleId' | 'createdBy'> & { readonly nowMs: number },
): AssignmentRecord => ({
  schema: IAM_SCHEMA,
  // A tenant id never begins with a capital letter: PLATFORM cannot be one.
  id: secrets.derivedId('asg', [options.principalId, options.tenantId ?? 'PLATFORM', options.roleId]),
  principalId: options.principalId,
  tenantId: options.tenantId,
  roleId: options.roleId,
  createdAt: new Date(options.nowMs).toISOString(),
  createdBy: options.createdBy,
});

/** The assignment and its index. The assignment comes last: its revision, which deciders report, is the commit's. */
export function assignmentWrites(assignment: AssignmentRecord): readonly Write[] {
  const index: AssignmentIndexRecord = { schema: IAM_SCHEMA, principalId: assignment.principalId };
  return [
    { key: iamKey.assignmentIndex(assignment.id), value: encodeRecord(index), expect: 0 },
    { key: iamKey.assignment(assignment.principalId, assignment.id), value: encodeRecord(assignment), expect: 0 },
  ];
}
