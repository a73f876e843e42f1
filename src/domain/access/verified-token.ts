/** What a verified access token says, as plain data. Nothing of a token that did not verify is ever in here. */
export interface VerifiedToken {
  readonly principalId: string;
  readonly sessionId: string;
  readonly tokenId: string;
  readonly clientId: string;
  /** Seconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** The outcome of verifying the text of an access token. */
export type TokenResult =
  | { readonly ok: true; readonly token: VerifiedToken }
  | { readonly ok: false; readonly reason: 'token_invalid' | 'token_expired' };

/** Verifies access tokens at once, without I/O. */
export interface TokenVerifier {
  verify(token: string, nowSeconds: number): TokenResult;
}

/**
 * What the request carries as credentials: nothing, something that is no single bearer token, or a token and what
 * verifying it gave.
 */
export type Credentials = { readonly kind: 'none' } | { readonly kind: 'unreadable' } | TokenCredentials;

interface TokenCredentials {
  readonly kind: 'token';
  readonly result: TokenResult;
}
