import { isTenantId } from '../ids.ts';
import { fail, ok, type Result } from '../result.ts';
import { RecordError, readAssignment, readRole, readSigningKey, readUser } from './record-codec.ts';
import {
  type AssignmentRecord,
  IAM_SCHEMA,
  iamKey,
  type RevocationRecord,
  type RoleRecord,
  type SigningKeyRecord,
  type UserRecord,
} from './records.ts';

/** What a decision index can be told by one key of bucket IAM. */
export type DecisionKey =
  | { readonly kind: 'user'; readonly userId: string }
  | { readonly kind: 'role'; readonly roleId: string }
  | { readonly kind: 'assignment'; readonly principalId: string; readonly assignmentId: string }
  | { readonly kind: 'signing_key'; readonly kid: string }
  | { readonly kind: 'revocation'; readonly sessionId: string };

const ID = /^[A-Za-z0-9_-]{1,64}$/;

/** What a key of {@link DECISION_FILTERS} names, or undefined when it is no such key. */
export function parseDecisionKey(key: string): DecisionKey | undefined {
  const [prefix, first, second, ...rest] = key.split('.');
  if (first === undefined || !ID.test(first) || rest.length > 0) return undefined;
  if (prefix === 'as') {
    return second !== undefined && ID.test(second)
      ? { kind: 'assignment', principalId: first, assignmentId: second }
      : undefined;
  }
  if (second !== undefined) return undefined;
  if (prefix === 'u') return { kind: 'user', userId: first };
  if (prefix === 'ro') return { kind: 'role', roleId: first };
  if (prefix === 'k') return { kind: 'signing_key', kid: first };
  if (prefix === 'rv') return { kind: 'revocation', sessionId: first };
  return undefined;
}

/** A record that decisions are made of, read and checked; the failure is a sentence for the log. */
export type Parsed<Rec> = Result<Rec, string>;

/** The user record stored under `u.<userId>`. */
export const parseUserRecord = (userId: string, bytes: Uint8Array): Parsed<UserRecord> =>
  parsed(iamKey.user(userId), () => {
    const user = readUser(bytes);
    return user.id !== userId ? 'names another user' : user;
  });

/** The role record stored under `ro.<roleId>`. */
export const parseRoleRecord = (roleId: string, bytes: Uint8Array): Parsed<RoleRecord> =>
  parsed(iamKey.role(roleId), () => {
    const role = readRole(bytes);
    return role.id !== roleId ? 'names another role' : role;
  });

/** The assignment record stored under `as.<principalId>.<assignmentId>`. */
export const parseAssignmentRecord = (
  key: { readonly principalId: string; readonly assignmentId: string },
  bytes: Uint8Array,
): Parsed<AssignmentRecord> =>
  parsed(iamKey.assignment(key.principalId, key.assignmentId), () => {
    const assignment = readAssignment(bytes);
    if (assignment.id !== key.assignmentId || assignment.principalId !== key.principalId)
      return 'names another assignment';
    return assignment.tenantId !== null && !isTenantId(assignment.tenantId) ? 'names no tenant id' : assignment;
  });

/** The signing key record stored under `k.<kid>`. */
export const parseSigningKeyRecord = (kid: string, bytes: Uint8Array): Parsed<SigningKeyRecord> =>
  parsed(iamKey.signingKey(kid), () => {
    const key = readSigningKey(bytes);
    if (key.kid !== kid) return 'names another key';
    return key.publicJwk.kty !== 'EC' || key.publicJwk.crv !== 'P-256' ? 'is no P-256 key' : key;
  });

/** The revocation record stored under `rv.<sessionId>`. */
export const parseRevocationRecord = (sessionId: string, bytes: Uint8Array): Parsed<RevocationRecord> =>
  parsed(iamKey.revocation(sessionId), () => {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value !== 'object' || value === null) return 'is no object';
    const member = (name: string): unknown => Object.getOwnPropertyDescriptor(value, name)?.value;
    const until = member('until');
    if (member('schema') !== IAM_SCHEMA || member('sessionId') !== sessionId) return 'is of another schema or session';
    return Number.isSafeInteger(until) ? { schema: IAM_SCHEMA, sessionId, until: Number(until) } : 'has no end';
  });

/** Runs a reader that returns the record, or says what is wrong with it, or throws. */
function parsed<Rec extends object>(key: string, read: () => Rec | string): Parsed<Rec> {
  try {
    const record = read();
    return typeof record === 'string' ? fail(`${key} ${record}`) : ok(record);
  } catch (error) {
    if (error instanceof RecordError) return fail(`${key}: ${error.message}`);
    if (error instanceof SyntaxError || error instanceof TypeError) return fail(`${key} is not JSON in UTF-8`);
    throw error;
  }
}
