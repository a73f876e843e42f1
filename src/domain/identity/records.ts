/**
 * The records of bucket IAM and their keys (docs/storage.md holds the same list). Every record carries `schema`.
 * Keys carry no user text: ids are made by us, everything else goes in as a fixed-length HMAC token.
 */

export const IAM_SCHEMA = 1;

/** Keys of bucket IAM. Ids are `[A-Za-z0-9_-]{1,64}` and never contain a dot. */
export const iamKey = {
  user: (userId: string) => `u.${userId}`,
  /** Unique index of e-mail addresses; the token is the HMAC of the canonical address. */
  email: (emailToken: string) => `ue.${emailToken}`,
  password: (userId: string) => `pw.${userId}`,
  session: (userId: string, sessionId: string) => `s.${userId}.${sessionId}`,
  /** Marks a session revoked for as long as an access token of it may still be alive. */
  revocation: (sessionId: string) => `rv.${sessionId}`,
  role: (roleId: string) => `ro.${roleId}`,
  assignment: (principalId: string, assignmentId: string) => `as.${principalId}.${assignmentId}`,
  /** Whose assignment an id is: finds `as.` by the id alone. */
  assignmentIndex: (assignmentId: string) => `ai.${assignmentId}`,
  signingKey: (kid: string) => `k.${kid}`,
  /** Names the key that signs now; replicas agree on it by compare-and-set. */
  currentSigningKey: () => 'sk',
  /** One-time token: the purpose is in the key and in the record, both are checked. */
  oneTime: (purpose: OneTimePurpose, tokenHash: string) => `ot.${purpose}.${tokenHash}`,
  /** Written by the one successful bootstrap, then a guard against a second. */
  bootstrap: () => 'boot',
  /** The roster of platform admins: each grant and removal goes through it, so that the last one stays. */
  platformAdmins: () => 'adm',
  /** Failed sign-ins of an account and of a client, by the HMAC of either's address. */
  accountFailures: (emailToken: string) => `fa.${emailToken}`,
  /** The same of a client that has signed in to the account before; without failures, it marks just that. */
  knownClientFailures: (emailToken: string, clientToken: string) => `fk.${emailToken}.${clientToken}`,
  clientFailures: (clientToken: string) => `fc.${clientToken}`,
  audit: (auditId: string) => `aud.${auditId}`,
  /** Filler that makes the answer for a taken address cost what a new one costs; gone after seconds. */
  filler: (id: string) => `dc.${id}`,
} as const;

/** What a process that decides requests keeps in memory. Password, session and audit records are not among it. */
export const DECISION_FILTERS = ['u.>', 'ro.>', 'as.>', 'k.>', 'rv.>'] as const;

export type OneTimePurpose = 'verify_email';
export type PrincipalKind = 'user' | 'service_account';

export interface UserRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly id: string;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly status: 'active' | 'disabled';
  /** Seconds since the epoch; tokens issued before it are refused (global sign-out). 0 = none. */
  readonly tokensValidAfter: number;
  readonly createdAt: string;
}

export interface EmailRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly userId: string;
}

export interface PasswordRecord {
  readonly schema: typeof IAM_SCHEMA;
  /** PHC string of Argon2id. */
  readonly hash: string;
  readonly changedAt: string;
}

export interface SessionRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly id: string;
  readonly userId: string;
  /** SHA-256 (base64url) of the refresh secret in force, and of the one before it until the new one is first used. */
  readonly secretHash: string;
  readonly previousSecretHash?: string;
  /** With the parent's secret and the server's key it gives the secret in force again (a retried rotation). */
  readonly rotationSalt?: string;
  readonly authTime: number;
  readonly amr: readonly string[];
  readonly createdAt: string;
  readonly refreshedAt: string;
  /** Seconds since the epoch: idle expiry of the refresh token, absolute end of the session. */
  readonly refreshExpiresAt: number;
  readonly sessionExpiresAt: number;
  readonly revokedAt?: string;
}

export interface RevocationRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly sessionId: string;
  /** Seconds since the epoch after which no access token of the session can be alive. */
  readonly until: number;
}

export interface RoleRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly id: string;
  readonly rights: readonly { readonly action: string; readonly resource: string }[];
}

export interface AssignmentRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly id: string;
  readonly principalId: string;
  /** null = the platform. */
  readonly tenantId: string | null;
  readonly roleId: string;
  readonly createdAt: string;
  readonly createdBy: string;
}

export interface SigningKeyRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly kid: string;
  readonly algorithm: 'ES256';
  readonly publicJwk: { readonly kty: string; readonly crv: string; readonly x: string; readonly y: string };
  /** The private key, sealed under the master key: base64url of nonce, ciphertext and tag (AES-256-GCM). */
  readonly sealedPrivateKey: string;
  readonly createdAt: string;
}

/** The key that access tokens are signed with from now on. */
export interface CurrentSigningKeyRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly kid: string;
}

export interface PlatformAdminsRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly assignmentIds: readonly string[];
}

export interface AssignmentIndexRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly principalId: string;
}

export interface OneTimeRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly purpose: OneTimePurpose;
  readonly userId: string;
  readonly expiresAt: number;
  /** The password of the sign-up this link was mailed for: whoever owns the mailbox confirms their own, no other. */
  readonly passwordHash?: string;
}

/** Failed sign-ins, kept as the time that it takes until all of them are forgiven. */
export interface SignInFailuresRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly owedMs: number;
  /** Milliseconds since the epoch: when `owedMs` was counted, and until when no attempt is let through. */
  readonly atMs: number;
  readonly blockedUntilMs: number;
}

export interface BootstrapRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly userId: string;
  readonly usedAt: string;
}

/** One entry of the audit log: who did what to what, and the request it came with. Never a secret. */
export interface AuditRecord {
  readonly schema: typeof IAM_SCHEMA;
  readonly id: string;
  readonly at: string;
  readonly actor: { readonly id: string; readonly kind: PrincipalKind | 'anonymous' | 'system' };
  readonly action: string;
  readonly target: { readonly type: string; readonly id: string };
  readonly tenantId: string | null;
  readonly requestId?: string;
  readonly correlationId?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}
