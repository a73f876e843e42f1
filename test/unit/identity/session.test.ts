import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  beginSession,
  decideRefresh,
  type PresentedSecret,
  REFRESH_REPEAT_SECONDS,
  rotateSession,
  sessionTtlSeconds,
} from '#domain/identity/session.ts';
import { LIMITS } from '#domain/limits.ts';

const START_MS = 1_800_000_000_000;
const START = START_MS / 1000;
const fresh = beginSession({ id: 's', userId: 'u', secretHash: 'h0', amr: ['pwd'], nowMs: START_MS });
const rotatedAt = (nowMs: number, session = fresh) =>
  rotateSession(session, { parentHash: 'h0', childHash: 'h1', rotationSalt: 'salt', nowMs });

describe('decideRefresh', () => {
  const rotated = rotatedAt(START_MS);
  it.each<[string, Parameters<typeof decideRefresh>, ReturnType<typeof decideRefresh>]>([
    ['the secret in force', [fresh, 'current', START + 1], 'rotate'],
    ['the parent of an unused child, moments later', [rotated, 'previous', START + REFRESH_REPEAT_SECONDS], 'repeat'],
    ['the parent of an unused child, later', [rotated, 'previous', START + REFRESH_REPEAT_SECONDS + 1], 'rotate'],
    ['an older secret', [rotated, 'other', START + 1], 'replayed'],
    ['a revoked session', [{ ...fresh, revokedAt: 'x' }, 'current', START + 1], 'ended'],
    ['a revoked session and an older secret', [{ ...fresh, revokedAt: 'x' }, 'other', START + 1], 'ended'],
    ['the idle expiry', [fresh, 'current', START + LIMITS.refreshTokenLifetimeSeconds], 'ended'],
    ['a second before it', [fresh, 'current', START + LIMITS.refreshTokenLifetimeSeconds - 1], 'rotate'],
    ['an expired session and an older secret', [fresh, 'other', START + LIMITS.refreshTokenLifetimeSeconds], 'ended'],
  ])('%s', (_, args, decision) => {
    expect(decideRefresh(...args)).toBe(decision);
  });
});

describe('a session', () => {
  it('slides its idle expiry up to its absolute end, and ends there', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(LIMITS.refreshTokenLifetimeSeconds - 1), { maxLength: 20 }), (gaps) => {
        let session = fresh;
        let now = START;
        for (const gap of gaps) {
          now += gap;
          const presented: PresentedSecret = 'current';
          if (decideRefresh(session, presented, now) !== 'rotate') {
            expect(now).toBeGreaterThanOrEqual(session.sessionExpiresAt);
            return;
          }
          session = rotatedAt(now * 1000, session);
          expect(session.refreshExpiresAt).toBeLessThanOrEqual(fresh.sessionExpiresAt);
          expect(session.sessionExpiresAt).toBe(fresh.sessionExpiresAt);
          expect(session.authTime).toBe(START);
        }
      }),
    );
  });

  it('is kept by the store until its absolute end, at least a second', () => {
    expect(sessionTtlSeconds(fresh, START_MS)).toBe(LIMITS.sessionLifetimeSeconds);
    expect(sessionTtlSeconds(fresh, START_MS * 2)).toBe(1);
  });
});
