import { type Outcome, succeed } from '#domain/errors.ts';
import { ANONYMOUS, auditRecord, type CallContext } from '#domain/identity/audit.ts';
import type { Email } from '#domain/identity/email.ts';
import { encodeRecord, readEmail, readUser } from '#domain/identity/record-codec.ts';
import { IAM_SCHEMA, iamKey, type OneTimeRecord, type UserRecord } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Write } from '#ports/key-value-store.ts';
import type { Mail } from '#ports/mailer.ts';
import { type Attempt, commitDecision } from '../commit/commit-decision.ts';
import { addressTakenMail, verifyEmailMail } from './account-mails.ts';
import { checkCredentials } from './bootstrap-platform.ts';
import type { IdentityServices } from './identity-services.ts';
import { newUser, newUserWrites } from './new-records.ts';

/** Long enough for the commit, short enough to leave nothing behind. */
const FILLER_TTL_SECONDS = 60;

/** What one sign-up may write, made before it is known whether the address is taken. */
interface SignUp {
  readonly email: Email;
  readonly passwordHash: string;
  readonly user: UserRecord;
  readonly auditId: string;
  readonly linkSecret: string;
  readonly context: CallContext;
  readonly nowMs: number;
}

/**
 * Makes an account. The answer is the same whether the address is new or taken, and so is the work: one hash, two
 * reads, one commit of as many writes of the same size, one mail at most, behind the answer. A taken address keeps its
 * account and password; its owner is told. While the address is unconfirmed nobody owns it, so another sign-up gets a
 * link of its own: it confirms the password of that sign-up, and a stranger who came first gains nothing.
 */
export function signUp(services: IdentityServices) {
  return async (
    request: { readonly email: string; readonly password: string },
    context: CallContext,
  ): Promise<Outcome<'accepted'>> => {
    const checked = checkCredentials(request);
    if (!checked.ok) return checked;
    const { email, password } = checked.value;
    const hash = await services.hasher.hash(password);
    if (!hash.ok) return hash;

    const nowMs = services.clock.nowMs();
    const signUpData: SignUp = {
      email,
      passwordHash: hash.value,
      user: newUser({ id: services.secrets.newId('usr'), email: email.address, emailVerified: false, nowMs }),
      auditId: services.secrets.newId('aud'),
      linkSecret: services.secrets.newSecret(),
      context: { ...context, actor: ANONYMOUS },
      nowMs,
    };
    const outcome = await commitDecision({
      store: services.store,
      operationKey: iamKey.audit(signUpData.auditId),
      attempt: () => attemptSignUp(services, signUpData),
    });
    if (!outcome.ok) return outcome;
    if (outcome.value !== undefined) services.mailer.send(outcome.value);
    return succeed('accepted');
  };
}

async function attemptSignUp(services: IdentityServices, signUpData: SignUp): Promise<Attempt<Mail | undefined>> {
  const { store, secrets, policy } = services;
  const { email, user } = signUpData;
  const emailKey = iamKey.email(secrets.emailToken(email.canonical));
  const taken = await store.get(emailKey);
  const ownerId = taken === undefined ? user.id : readEmail(taken.value).userId;
  const stored = await store.get(iamKey.user(ownerId));
  const owner = stored === undefined ? undefined : readUser(stored.value);
  const own = newUserWrites({ user, emailKey, passwordHash: signUpData.passwordHash });
  const mailsLink = policy.emailVerification === 'required' && owner?.emailVerified !== true;
  const link = linkWrite(services, signUpData, ownerId);
  const audit = auditRecord({
    id: signUpData.auditId,
    nowMs: signUpData.nowMs,
    context: signUpData.context,
    action: taken === undefined ? 'user.signup' : 'user.signup_repeated',
    target: { type: 'user', id: ownerId },
  });
  const filler = (write: Write): Write => ({
    key: iamKey.filler(secrets.newId('jti')),
    value: new Uint8Array(write.value?.length ?? 0),
    ttlSeconds: FILLER_TTL_SECONDS,
  });
  return {
    writes: [
      { key: iamKey.audit(signUpData.auditId), value: encodeRecord(audit), expect: 0 },
      mailsLink ? link : filler(link),
      ...(taken === undefined ? own : own.map(filler)),
    ],
    committed: () => {
      if (mailsLink) return verifyEmailMail(email.address, policy.publicUrl, signUpData.linkSecret);
      return owner === undefined ? undefined : addressTakenMail(owner.email, policy.publicUrl);
    },
  };
}

function linkWrite(services: IdentityServices, signUpData: SignUp, userId: string): Write {
  const record: OneTimeRecord = {
    schema: IAM_SCHEMA,
    purpose: 'verify_email',
    userId,
    expiresAt: Math.floor(signUpData.nowMs / 1000) + LIMITS.emailVerificationLifetimeSeconds,
    passwordHash: signUpData.passwordHash,
  };
  return {
    key: iamKey.oneTime('verify_email', services.secrets.digest(signUpData.linkSecret)),
    value: encodeRecord(record),
    expect: 0,
    ttlSeconds: LIMITS.emailVerificationLifetimeSeconds,
  };
}
