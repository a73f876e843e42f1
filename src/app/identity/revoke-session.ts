import { auditRecord, type CallContext } from '#domain/identity/audit.ts';
import { encodeRecord } from '#domain/identity/record-codec.ts';
import { IAM_SCHEMA, iamKey, type RevocationRecord, type SessionRecord } from '#domain/identity/records.ts';
import { sessionTtlSeconds } from '#domain/identity/session.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Write } from '#ports/key-value-store.ts';

/**
 * Ends a session: the record says so for refreshes, the revocation mark for access tokens that are still alive, and
 * the audit record why. The mark comes last: its revision, which deciders report, is the commit's.
 */
export function revokeSessionWrites(options: {
  readonly session: SessionRecord;
  readonly revision: number;
  readonly auditId: string;
  readonly context: CallContext;
  readonly reason: 'signed_out' | 'refresh_token_replayed';
  readonly nowMs: number;
}): readonly Write[] {
  const { session, nowMs } = options;
  // The clocks of the minting and of the deciding replica may differ either way: no token outlives its mark.
  const lifetimeSeconds = LIMITS.accessTokenLifetimeSeconds + 2 * LIMITS.clockSkewMaxSeconds;
  const revoked: SessionRecord = { ...session, revokedAt: new Date(nowMs).toISOString() };
  const mark: RevocationRecord = {
    schema: IAM_SCHEMA,
    sessionId: session.id,
    until: Math.floor(nowMs / 1000) + lifetimeSeconds,
  };
  const audit = auditRecord({
    id: options.auditId,
    nowMs,
    context: options.context,
    action: 'session.revoke',
    target: { type: 'session', id: session.id },
    data: { reason: options.reason },
  });
  return [
    { key: iamKey.audit(options.auditId), value: encodeRecord(audit), expect: 0 },
    {
      key: iamKey.session(session.userId, session.id),
      value: encodeRecord(revoked),
      expect: options.revision,
      ttlSeconds: sessionTtlSeconds(session, nowMs),
    },
    { key: iamKey.revocation(session.id), value: encodeRecord(mark), ttlSeconds: lifetimeSeconds },
  ];
}
