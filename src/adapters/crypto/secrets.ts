import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IdPrefix, Secrets } from '#ports/secrets.ts';
import { base32 } from './base32.ts';
import { deriveKeys } from './master-key.ts';
import { open, seal } from './seal.ts';

const ID_BYTES = 16;
const SECRET_BYTES = 32;
const TAG_BYTES = 16;

/** Compares digests, so neither the content nor the length of either text shows in the time. */
function equalTexts(left: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text, 'utf8').digest();
  return timingSafeEqual(digest(left), digest(right));
}

/** The secrets of an installation, from its master key and the system's random numbers. */
export function createSecrets(masterKey: Uint8Array): Secrets {
  const keys = deriveKeys(masterKey);
  // Each part is preceded by its length: ("a","bc") and ("ab","c") differ.
  const mac = (key: Uint8Array, parts: readonly string[]) => {
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(`${Buffer.byteLength(part)}:${part}`, 'utf8');
    return hmac.digest();
  };
  const refreshSecret = (sessionId: string, secret: Uint8Array): string => {
    const tag = mac(keys.refresh, ['tag', sessionId, Buffer.from(secret).toString('base64url')]).subarray(0, TAG_BYTES);
    return Buffer.concat([secret, tag]).toString('base64url');
  };
  return {
    newId: (prefix) => formatId(prefix, randomBytes(ID_BYTES)),
    derivedId: (prefix, parts) => {
      const hash = createHash('sha256');
      for (const part of parts) hash.update(`${Buffer.byteLength(part)}:${part}`, 'utf8');
      return formatId(prefix, hash.digest().subarray(0, ID_BYTES));
    },
    newSecret: () => randomBytes(SECRET_BYTES).toString('base64url'),
    digest: (secret) => createHash('sha256').update(secret, 'utf8').digest('base64url'),
    equal: equalTexts,
    emailToken: (canonicalAddress) => mac(keys.email, [canonicalAddress]).toString('base64url'),
    newRefreshSecret: (sessionId) => refreshSecret(sessionId, randomBytes(SECRET_BYTES)),
    childRefreshSecret: (sessionId, parentSecret, salt) =>
      refreshSecret(sessionId, mac(keys.refresh, ['child', sessionId, parentSecret, salt])),
    isOurRefreshSecret: (sessionId, text) => {
      const secret = Buffer.from(text, 'base64url').subarray(0, SECRET_BYTES);
      return equalTexts(refreshSecret(sessionId, secret), text);
    },
    seal: (plaintext, context) => seal(keys.seal, plaintext, context),
    open: (sealed, context) => open(keys.seal, sealed, context),
  };
}

const formatId = (prefix: IdPrefix, bytes: Uint8Array): string => `${prefix}_${base32(bytes)}`;
