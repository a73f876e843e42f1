import type {
  AssignmentIndexRecord,
  AssignmentRecord,
  CurrentSigningKeyRecord,
  EmailRecord,
  OneTimeRecord,
  PasswordRecord,
  PlatformAdminsRecord,
  RoleRecord,
  SessionRecord,
  SignInFailuresRecord,
  SigningKeyRecord,
  UserRecord,
} from './records.ts';
import { IAM_SCHEMA } from './records.ts';

/** A stored record is not what this version writes or reads: somebody else wrote it, or it was damaged. */
export class RecordError extends Error {
  constructor(kind: string, member: string) {
    super(`a stored ${kind} record is not readable (${member})`);
    this.name = 'RecordError';
  }
}

/** The bytes of a record as it is stored. */
export const encodeRecord = <Rec extends { readonly schema: typeof IAM_SCHEMA }>(record: Rec): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(record));

type Check = (value: unknown) => boolean;
const text: Check = (value) => typeof value === 'string';
const whole: Check = (value) => Number.isSafeInteger(value);
const flag: Check = (value) => typeof value === 'boolean';
const texts: Check = (value) => Array.isArray(value) && value.every(text);
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const oneOf =
  (...choices: readonly unknown[]): Check =>
  (value) =>
    choices.includes(value);
const members =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(checks).every(([name, check]) => check(Object.getOwnPropertyDescriptor(value, name)?.value));

/** A reader of one kind of record: checks the schema version and each member. @throws RecordError */
function reader<Rec>(kind: string, checks: Readonly<Record<Exclude<keyof Rec & string, 'schema'>, Check>>) {
  return (bytes: Uint8Array): Rec => {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    } catch {
      throw new RecordError(kind, 'not JSON');
    }
    const all: Readonly<Record<string, Check>> = { schema: oneOf(IAM_SCHEMA), ...checks };
    for (const [name, check] of Object.entries(all)) {
      if (!members({ [name]: check })(value)) throw new RecordError(kind, name);
    }
    return value as Rec;
  };
}

export const readUser = reader<UserRecord>('user', {
  id: text,
  email: text,
  emailVerified: flag,
  status: oneOf('active', 'disabled'),
  tokensValidAfter: whole,
  createdAt: text,
});

export const readEmail = reader<EmailRecord>('email', { userId: text });

export const readPassword = reader<PasswordRecord>('password', { hash: text, changedAt: text });

export const readSession = reader<SessionRecord>('session', {
  id: text,
  userId: text,
  secretHash: text,
  previousSecretHash: optional(text),
  rotationSalt: optional(text),
  authTime: whole,
  amr: texts,
  createdAt: text,
  refreshedAt: text,
  refreshExpiresAt: whole,
  sessionExpiresAt: whole,
  revokedAt: optional(text),
});

export const readRole = reader<RoleRecord>('role', {
  id: text,
  rights: (value) => Array.isArray(value) && value.every(members({ action: text, resource: text })),
});

export const readAssignment = reader<AssignmentRecord>('assignment', {
  id: text,
  principalId: text,
  tenantId: (value) => value === null || text(value),
  roleId: text,
  createdAt: text,
  createdBy: text,
});

export const readAssignmentIndex = reader<AssignmentIndexRecord>('assignment index', { principalId: text });

export const readPlatformAdmins = reader<PlatformAdminsRecord>('platform admins', { assignmentIds: texts });

export const readSigningKey = reader<SigningKeyRecord>('signing key', {
  kid: text,
  algorithm: oneOf('ES256'),
  publicJwk: members({ kty: text, crv: text, x: text, y: text }),
  sealedPrivateKey: text,
  createdAt: text,
});

export const readCurrentSigningKey = reader<CurrentSigningKeyRecord>('current signing key', { kid: text });

export const readOneTime = reader<OneTimeRecord>('one-time token', {
  purpose: oneOf('verify_email'),
  userId: text,
  expiresAt: whole,
  passwordHash: optional(text),
});

export const readSignInFailures = reader<SignInFailuresRecord>('sign-in failures', {
  owedMs: whole,
  atMs: whole,
  blockedUntilMs: whole,
});
