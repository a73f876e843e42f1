import { LIMITS } from '../limits.ts';
import { IAM_SCHEMA, type SessionRecord } from './records.ts';

/** A client that did not get the answer to a refresh may ask again this long and gets the very same answer. */
export const REFRESH_REPEAT_SECONDS = 10;

/** Which of a session's refresh secrets was presented. */
export type PresentedSecret = 'current' | 'previous' | 'other';

/**
 * What to do with a presented refresh token of a session:
 * - `rotate`: it is in force (or its child was never used, and the answer that carried the child was lost): new child;
 * - `repeat`: its child was made moments ago and is unused: the same child again, so that concurrent or repeated
 *   requests with one token have one continuation;
 * - `replayed`: its child was used already, so one of two holders is a thief: the session ends (RFC 9700, 4.14.2);
 * - `ended`: the session is revoked or has expired.
 */
export type RefreshDecision = 'rotate' | 'repeat' | 'replayed' | 'ended';

/** Decides about a refresh; `nowSeconds` since the epoch. */
export function decideRefresh(session: SessionRecord, presented: PresentedSecret, nowSeconds: number): RefreshDecision {
  if (session.revokedAt !== undefined) return 'ended';
  if (nowSeconds >= session.refreshExpiresAt || nowSeconds >= session.sessionExpiresAt) return 'ended';
  if (presented === 'other') return 'replayed';
  if (presented === 'current') return 'rotate';
  const sinceRotation = nowSeconds - Math.floor(Date.parse(session.refreshedAt) / 1000);
  return session.rotationSalt !== undefined && sinceRotation <= REFRESH_REPEAT_SECONDS ? 'repeat' : 'rotate';
}

/** A session that begins now with its first refresh secret. */
export function beginSession(options: {
  readonly id: string;
  readonly userId: string;
  readonly secretHash: string;
  readonly amr: readonly string[];
  readonly nowMs: number;
}): SessionRecord {
  const nowSeconds = Math.floor(options.nowMs / 1000);
  const at = new Date(options.nowMs).toISOString();
  return {
    schema: IAM_SCHEMA,
    id: options.id,
    userId: options.userId,
    secretHash: options.secretHash,
    authTime: nowSeconds,
    amr: options.amr,
    createdAt: at,
    refreshedAt: at,
    refreshExpiresAt: nowSeconds + LIMITS.refreshTokenLifetimeSeconds,
    sessionExpiresAt: nowSeconds + LIMITS.sessionLifetimeSeconds,
  };
}

/** The session after a rotation; the idle expiry slides, never beyond the absolute end. */
export function rotateSession(
  session: SessionRecord,
  options: {
    readonly parentHash: string;
    readonly childHash: string;
    readonly rotationSalt: string;
    readonly nowMs: number;
  },
): SessionRecord {
  const nowSeconds = Math.floor(options.nowMs / 1000);
  return {
    ...session,
    secretHash: options.childHash,
    previousSecretHash: options.parentHash,
    rotationSalt: options.rotationSalt,
    refreshedAt: new Date(options.nowMs).toISOString(),
    refreshExpiresAt: Math.min(nowSeconds + LIMITS.refreshTokenLifetimeSeconds, session.sessionExpiresAt),
  };
}

/** Seconds the store keeps a session record: until its absolute end, so that a late replay is still recognised. */
export const sessionTtlSeconds = (session: SessionRecord, nowMs: number): number =>
  Math.max(1, session.sessionExpiresAt - Math.floor(nowMs / 1000));
