import type { AccessTokenClaims } from '#domain/identity/access-token.ts';

/** Mints access tokens (design section 5.5). */
export interface TokenSigner {
  /** The signed token, or undefined as long as no signing key was loaded from the store. */
  sign(claims: AccessTokenClaims): string | undefined;
}

/** Makes signing keys and takes them into use. */
export interface SigningKeys {
  /** A new ES256 key pair; `kid` is its RFC 7638 thumbprint. The private key is PKCS #8 in DER. */
  generate(): NewSigningKey;
  /** Signs with this key from now on. @throws when the private key cannot be read. */
  use(key: { readonly kid: string; readonly privateKey: Uint8Array }): void;
}

export interface NewSigningKey {
  readonly kid: string;
  readonly publicJwk: { readonly kty: string; readonly crv: string; readonly x: string; readonly y: string };
  readonly privateKey: Uint8Array;
}
