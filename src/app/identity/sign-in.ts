import { type Outcome, refuse } from '#domain/errors.ts';
import { auditRecord, type CallContext, SYSTEM } from '#domain/identity/audit.ts';
import { parseEmail } from '#domain/identity/email.ts';
import { normalisePassword } from '#domain/identity/password.ts';
import { encodeRecord, readEmail, readPassword, readUser } from '#domain/identity/record-codec.ts';
import { IAM_SCHEMA, iamKey, type PasswordRecord, type UserRecord } from '#domain/identity/records.ts';
import { beginSession, sessionTtlSeconds } from '#domain/identity/session.ts';
import { type StoredRecord, StoreError } from '#ports/key-value-store.ts';
import { commitDecision, withStorage } from '../commit/commit-decision.ts';
import type { IdentityServices } from './identity-services.ts';
import { type IssuedTokens, issueTokens } from './issue-tokens.ts';
import { beginSignIn, type SignInAttempt } from './sign-in-throttle.ts';

interface Account {
  readonly user: UserRecord | undefined;
  readonly password: StoredRecord | undefined;
}

/** One answer for an unknown address, a wrong password, an unconfirmed address and a disabled account. */
const invalid = () =>
  refuse('credentials_invalid', 'the address and the password do not belong to an account that can sign in');

/**
 * Signs in by address and password and begins a session. Whatever is wrong, the same number of reads and one full
 * verification happen before the answer, so neither text nor time tells which accounts exist. After too many failures,
 * of an account or of a client, the answer is `rate_limited` with the time to wait, and the password is not looked at.
 */
export function signIn(services: IdentityServices) {
  return async (
    request: { readonly email: string; readonly password: string },
    context: CallContext,
  ): Promise<Outcome<IssuedTokens>> => {
    const password = normalisePassword(request.password);
    if (!password.ok) return refuse('validation_failed', 'the password cannot be checked', [password.error]);
    return withStorage(async () => {
      const begun = await beginSignIn(services, { email: request.email, clientAddress: context.clientAddress });
      if (!begun.ok) return begun;
      const attempt = begun.value;
      const account = await findAccount(services, request.email);
      const hash = account.password === undefined ? undefined : readPassword(account.password.value).hash;
      const verdict = await services.hasher.verify(password.value, hash);
      if (!verdict.ok) {
        await attempt.abandoned();
        return verdict;
      }
      const { user } = account;
      if (
        !verdict.value.matches ||
        user === undefined ||
        account.password === undefined ||
        !canSignIn(services, user)
      ) {
        return (await attempt.failed()) ?? invalid();
      }
      const tokens = await beginUserSession(services, user, { context, attempt });
      if (tokens.ok && verdict.value.outdated) await rehash(services, user.id, password.value, account.password);
      return tokens;
    });
  };
}

const canSignIn = ({ policy }: IdentityServices, user: UserRecord): boolean =>
  user.status === 'active' && (user.emailVerified || policy.emailVerification === 'off');

async function findAccount({ store, secrets }: IdentityServices, address: string): Promise<Account> {
  const email = parseEmail(address);
  // An address that is none goes the same way as an unknown one.
  const index = await store.get(iamKey.email(secrets.emailToken(email.ok ? email.value.canonical : '')));
  const userId = index === undefined ? secrets.newId('usr') : readEmail(index.value).userId;
  const [user, password] = await Promise.all([store.get(iamKey.user(userId)), store.get(iamKey.password(userId))]);
  return { user: user === undefined ? undefined : readUser(user.value), password };
}

async function beginUserSession(
  services: IdentityServices,
  user: UserRecord,
  { context, attempt }: { readonly context: CallContext; readonly attempt: SignInAttempt },
): Promise<Outcome<IssuedTokens>> {
  const { store, secrets, clock } = services;
  const nowMs = clock.nowMs();
  const sessionId = secrets.newId('ses');
  const refreshSecret = secrets.newRefreshSecret(sessionId);
  const session = beginSession({
    id: sessionId,
    userId: user.id,
    secretHash: secrets.digest(refreshSecret),
    amr: ['pwd'],
    nowMs,
  });
  // Before the commit: no session is left behind that nobody got tokens for.
  const tokens = issueTokens(services, session, refreshSecret);
  if (!tokens.ok) {
    await attempt.abandoned();
    return tokens;
  }
  const auditId = secrets.newId('aud');
  const audit = auditRecord({
    id: auditId,
    nowMs,
    context: { ...context, actor: { id: user.id, kind: 'user' } },
    action: 'session.begin',
    target: { type: 'session', id: sessionId },
  });
  return commitDecision({
    store,
    operationKey: iamKey.audit(auditId),
    attempt: async () => {
      const forget = await attempt.succeeded();
      if (!forget.ok) return { answer: forget };
      return {
        writes: [
          ...forget.value,
          { key: iamKey.audit(auditId), value: encodeRecord(audit), expect: 0 },
          {
            key: iamKey.session(user.id, sessionId),
            value: encodeRecord(session),
            expect: 0,
            ttlSeconds: sessionTtlSeconds(session, nowMs),
          },
        ],
        committed: () => tokens.value,
      };
    },
  });
}

/**
 * Hashes the password again with the current parameters. Not a change of what is known about the account, so a failure
 * (busy hasher, password changed meanwhile) only means that the next sign-in tries again.
 */
async function rehash(
  { store, hasher, secrets, clock }: IdentityServices,
  userId: string,
  password: string,
  stored: StoredRecord,
): Promise<void> {
  const hash = await hasher.hash(password);
  if (!hash.ok) return;
  const nowMs = clock.nowMs();
  const record: PasswordRecord = { ...readPassword(stored.value), schema: IAM_SCHEMA, hash: hash.value };
  const auditId = secrets.newId('aud');
  const audit = auditRecord({
    id: auditId,
    nowMs,
    context: { actor: SYSTEM },
    action: 'user.password_rehash',
    target: { type: 'user', id: userId },
  });
  try {
    await store.commit([
      { key: iamKey.audit(auditId), value: encodeRecord(audit), expect: 0 },
      { key: iamKey.password(userId), value: encodeRecord(record), expect: stored.revision },
    ]);
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind === 'invalid') throw error;
  }
}
