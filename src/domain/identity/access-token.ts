import { LIMITS } from '../limits.ts';

/** Who our access tokens are for (`aud`) and the one client that the gateway's own sign-in is (`client_id`). */
export const ACCESS_TOKEN_AUDIENCE = 'gateway';
export const FIRST_PARTY_CLIENT = 'gateway';

/** The claims of an access token, RFC 9068, plus the session it belongs to. */
export interface AccessTokenClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string;
  readonly exp: number;
  readonly iat: number;
  readonly jti: string;
  readonly client_id: string;
  readonly sid: string;
  readonly auth_time: number;
  readonly amr: readonly string[];
}

/** The claims for a session's next access token. Memberships are looked up at each decision and never put in here. */
export function accessTokenClaims(options: {
  readonly issuer: string;
  readonly tokenId: string;
  readonly session: {
    readonly id: string;
    readonly userId: string;
    readonly authTime: number;
    readonly amr: readonly string[];
  };
  readonly nowSeconds: number;
}): AccessTokenClaims {
  return {
    iss: options.issuer,
    sub: options.session.userId,
    aud: ACCESS_TOKEN_AUDIENCE,
    exp: options.nowSeconds + LIMITS.accessTokenLifetimeSeconds,
    iat: options.nowSeconds,
    jti: options.tokenId,
    client_id: FIRST_PARTY_CLIENT,
    sid: options.session.id,
    auth_time: options.session.authTime,
    amr: options.session.amr,
  };
}
