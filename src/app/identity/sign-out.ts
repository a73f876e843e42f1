import { type Outcome, succeed } from '#domain/errors.ts';
import type { CallContext } from '#domain/identity/audit.ts';
import { readSession } from '#domain/identity/record-codec.ts';
import { iamKey } from '#domain/identity/records.ts';
import { commitDecision } from '../commit/commit-decision.ts';
import { type Applied, waitApplied } from '../commit/wait-applied.ts';
import type { IdentityServices } from './identity-services.ts';
import { revokeSessionWrites } from './revoke-session.ts';

export interface SignedOut {
  readonly revision: number;
  readonly applied: Applied;
}

/** Ends the caller's own session, at once and everywhere. Ending it twice is no mistake. */
export function signOut(services: Pick<IdentityServices, 'store' | 'secrets' | 'clock' | 'board'>) {
  return async (
    request: { readonly userId: string; readonly sessionId: string },
    context: CallContext,
  ): Promise<Outcome<SignedOut>> => {
    const { store, secrets, clock } = services;
    const auditId = secrets.newId('aud');
    const outcome = await commitDecision({
      store,
      operationKey: iamKey.audit(auditId),
      attempt: async () => {
        const stored = await store.get(iamKey.session(request.userId, request.sessionId));
        // Gone (expired) or ended before: there is nothing to change.
        if (stored === undefined) return { answer: succeed(0) };
        const session = readSession(stored.value);
        if (session.revokedAt !== undefined) return { answer: succeed(stored.revision) };
        const writes = revokeSessionWrites({
          session,
          revision: stored.revision,
          auditId,
          context,
          reason: 'signed_out',
          nowMs: clock.nowMs(),
        });
        return { writes, committed: (revision) => revision };
      },
    });
    if (!outcome.ok) return outcome;
    return succeed({ revision: outcome.value, applied: await waitApplied(services.board, outcome.value) });
  };
}
