import { type FieldError, type Outcome, refuse, succeed } from '#domain/errors.ts';
import { PLATFORM_ADMIN } from '#domain/identity/assignment-rules.ts';
import { ANONYMOUS, auditRecord, type CallContext } from '#domain/identity/audit.ts';
import { parseEmail } from '#domain/identity/email.ts';
import { checkNewPassword } from '#domain/identity/password.ts';
import { encodeRecord } from '#domain/identity/record-codec.ts';
import { type BootstrapRecord, iamKey } from '#domain/identity/records.ts';
import { commitDecision } from '../commit/commit-decision.ts';
import { waitApplied } from '../commit/wait-applied.ts';
import type { IdentityServices } from './identity-services.ts';
import { assignmentWrites, newAssignment, newUser, newUserWrites } from './new-records.ts';
import { enrolWrites } from './platform-admins.ts';

export interface BootstrapRequest {
  readonly bootstrapToken: string;
  readonly email: string;
  readonly password: string;
}

/**
 * Makes the first platform admin, once: the record `boot` is written with it and never again. Whoever holds the
 * one-time token of the installation is trusted with the address, so it counts as confirmed.
 * `credentials_invalid` for a wrong token; `conflict` when it was used already or the address is taken.
 */
export function bootstrapPlatform(services: IdentityServices, bootstrapToken: string | undefined) {
  return async (request: BootstrapRequest, context: CallContext): Promise<Outcome<{ readonly userId: string }>> => {
    const { store, secrets, hasher, clock } = services;
    // The comparison happens in any case: whether a token is configured does not show in the time.
    const equal = secrets.equal(bootstrapToken ?? secrets.newSecret(), request.bootstrapToken);
    if (!equal || bootstrapToken === undefined)
      return refuse('credentials_invalid', 'the bootstrap token is not valid');

    const checked = checkCredentials(request);
    if (!checked.ok) return checked;
    const { email, password } = checked.value;
    const hash = await hasher.hash(password);
    if (!hash.ok) return hash;

    const nowMs = clock.nowMs();
    const user = newUser({ id: secrets.newId('usr'), email: email.address, emailVerified: true, nowMs });
    const assignment = newAssignment(secrets, {
      principalId: user.id,
      tenantId: null,
      roleId: PLATFORM_ADMIN,
      createdBy: 'bootstrap',
      nowMs,
    });
    const auditId = secrets.newId('aud');
    const audit = auditRecord({
      id: auditId,
      nowMs,
      context: { ...context, actor: ANONYMOUS },
      action: 'platform.bootstrap',
      target: { type: 'user', id: user.id },
      data: { assignment_id: assignment.id },
    });
    const outcome = await commitDecision({
      store,
      operationKey: iamKey.audit(auditId),
      attempt: async () => {
        if ((await store.get(iamKey.bootstrap())) !== undefined) {
          return { answer: refuse('conflict', 'the platform has its first admin already') };
        }
        const emailKey = iamKey.email(secrets.emailToken(email.canonical));
        if ((await store.get(emailKey)) !== undefined)
          return { answer: refuse('conflict', 'this address has an account already') };
        const boot: BootstrapRecord = { schema: user.schema, userId: user.id, usedAt: user.createdAt };
        return {
          writes: [
            { key: iamKey.audit(auditId), value: encodeRecord(audit), expect: 0 },
            { key: iamKey.bootstrap(), value: encodeRecord(boot), expect: 0 },
            ...newUserWrites({ user, emailKey, passwordHash: hash.value }),
            ...(await enrolWrites(store, assignment)),
            ...assignmentWrites(assignment),
          ],
          committed: (revision) => revision,
        };
      },
    });
    if (!outcome.ok) return outcome;
    await waitApplied(services.board, outcome.value);
    return succeed({ userId: user.id });
  };
}

/** The address and the password of a new account, or all mistakes in them at once. */
export function checkCredentials(request: { readonly email: string; readonly password: string }) {
  const email = parseEmail(request.email);
  const owner = email.ok ? email.value : { address: '', canonical: '' };
  const password = checkNewPassword(request.password, owner);
  if (email.ok && password.ok) return succeed({ email: email.value, password: password.value });
  const mistakes: FieldError[] = [];
  if (!email.ok) mistakes.push({ pointer: '/email', code: 'email', detail: email.error });
  if (!password.ok) mistakes.push(password.error);
  return refuse('validation_failed', 'the account cannot be made with these credentials', mistakes);
}
