import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { accessTokenClaims } from '#domain/identity/access-token.ts';
import { formatRefreshToken } from '#domain/identity/opaque-token.ts';
import type { SessionRecord } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import type { IdentityServices } from './identity-services.ts';

/** The answer of sign-in and refresh. */
export interface IssuedTokens {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly refreshToken: string;
}

/** An access token for the session and the refresh token with the given secret. */
export function issueTokens(
  { secrets, signer, clock, policy }: Pick<IdentityServices, 'secrets' | 'signer' | 'clock' | 'policy'>,
  session: SessionRecord,
  refreshSecret: string,
): Outcome<IssuedTokens> {
  const accessToken = signer.sign(
    accessTokenClaims({
      issuer: policy.publicUrl,
      tokenId: secrets.newId('jti'),
      session,
      nowSeconds: Math.floor(clock.nowMs() / 1000),
    }),
  );
  if (accessToken === undefined) return refuse('storage_unavailable', 'the signing key is not loaded yet');
  return succeed({
    accessToken,
    expiresInSeconds: LIMITS.accessTokenLifetimeSeconds,
    refreshToken: formatRefreshToken({ userId: session.userId, sessionId: session.id, secret: refreshSecret }),
  });
}
