import { type Outcome, refuse } from '#domain/errors.ts';
import { auditRecord, type CallContext } from '#domain/identity/audit.ts';
import { parseOneTimeToken } from '#domain/identity/opaque-token.ts';
import { encodeRecord, readOneTime, readPassword, readUser } from '#domain/identity/record-codec.ts';
import { IAM_SCHEMA, iamKey, type PasswordRecord } from '#domain/identity/records.ts';
import type { Write } from '#ports/key-value-store.ts';
import { type Attempt, commitDecision } from '../commit/commit-decision.ts';
import type { IdentityServices } from './identity-services.ts';

type Services = Pick<IdentityServices, 'store' | 'secrets' | 'clock'>;

/**
 * Confirms an address by the mailed token, once: the token is deleted in the commit that confirms. The password in
 * force afterwards is the one of the sign-up this link was mailed for (see sign-up.ts).
 */
export function verifyEmail(services: Services) {
  return async (request: { readonly token: string }, context: CallContext): Promise<Outcome<'verified'>> => {
    const secret = parseOneTimeToken('verify_email', request.token);
    if (secret === undefined) return invalidToken();
    const auditId = services.secrets.newId('aud');
    return commitDecision({
      store: services.store,
      operationKey: iamKey.audit(auditId),
      attempt: () => attemptVerification(services, { secret, auditId, context }),
    });
  };
}

/** One answer for unknown, used, expired and mistyped tokens. */
const invalidToken = () =>
  refuse('validation_failed', 'the confirmation is not possible', [
    { pointer: '/token', code: 'token_invalid', detail: 'is unknown, was used already or has expired' },
  ]);

async function attemptVerification(
  { store, secrets, clock }: Services,
  request: { readonly secret: string; readonly auditId: string; readonly context: CallContext },
): Promise<Attempt<'verified'>> {
  const nowMs = clock.nowMs();
  const tokenKey = iamKey.oneTime('verify_email', secrets.digest(request.secret));
  const stored = await store.get(tokenKey);
  if (stored === undefined) return { answer: invalidToken() };
  const token = readOneTime(stored.value);
  if (token.purpose !== 'verify_email' || token.expiresAt * 1000 <= nowMs) return { answer: invalidToken() };
  const [storedUser, storedPassword] = await Promise.all([
    store.get(iamKey.user(token.userId)),
    store.get(iamKey.password(token.userId)),
  ]);
  if (storedUser === undefined || storedPassword === undefined) return { answer: invalidToken() };
  const user = readUser(storedUser.value);
  if (user.emailVerified) return { answer: invalidToken() };

  const audit = auditRecord({
    id: request.auditId,
    nowMs,
    context: { ...request.context, actor: { id: user.id, kind: 'user' } },
    action: 'user.verify_email',
    target: { type: 'user', id: user.id },
  });
  const password: PasswordRecord = {
    schema: IAM_SCHEMA,
    hash: token.passwordHash ?? readPassword(storedPassword.value).hash,
    changedAt: new Date(nowMs).toISOString(),
  };
  const writes: readonly Write[] = [
    { key: iamKey.audit(request.auditId), value: encodeRecord(audit), expect: 0 },
    { key: tokenKey, expect: stored.revision },
    { key: iamKey.password(user.id), value: encodeRecord(password), expect: storedPassword.revision },
    {
      key: iamKey.user(user.id),
      value: encodeRecord({ ...user, emailVerified: true }),
      expect: storedUser.revision,
    },
  ];
  return { writes, committed: () => 'verified' };
}
