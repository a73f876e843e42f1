/** What needs randomness or the master key. Everything else about tokens and ids is a rule of the domain. */
export interface Secrets {
  /** A new id: the prefix, `_` and 26 lower-case base32 characters of 128 random bits. */
  newId(prefix: IdPrefix): string;
  /** The id that is always the same for the same parts: what must exist once is made once. */
  derivedId(prefix: IdPrefix, parts: readonly string[]): string;
  /** A new secret of 256 random bits, base64url. */
  newSecret(): string;
  /** SHA-256, base64url: how secrets of 112 bits or more are kept (NIST SP 800-63B-4, 3.1.2.2). */
  digest(secret: string): string;
  /** Compares two texts in a time that does not depend on where they differ. */
  equal(left: string, right: string): boolean;
  /** The fixed-length token of a canonical e-mail address for keys of the store. */
  emailToken(canonicalAddress: string): string;
  /** A session's first refresh secret: 256 random bits and a tag. */
  newRefreshSecret(sessionId: string): string;
  /** The child of a refresh secret; the same for the same parent and salt. */
  childRefreshSecret(sessionId: string, parentSecret: string, salt: string): string;
  /** Whether we made this refresh secret for this session. False: a guess, not a replay; no record need be read. */
  isOurRefreshSecret(sessionId: string, secret: string): boolean;
  /** Encrypts with authentication; `context` (the record's key) must be the same to open it again. */
  seal(plaintext: Uint8Array, context: string): string;
  /** @throws when the sealed text was made under another key, for another context, or was changed. */
  open(sealed: string, context: string): Uint8Array;
}

export type IdPrefix = 'usr' | 'ses' | 'asg' | 'aud' | 'dec' | 'jti';
