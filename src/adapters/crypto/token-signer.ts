import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { NewSigningKey, SigningKeys, TokenSigner } from '#ports/token-signer.ts';

/**
 * Mints ES256 access tokens (RFC 7515, RFC 7518 3.4: the signature is r and s side by side, IEEE P1363).
 * Synchronous node:crypto: the asynchronous ways share libuv's few threads with whatever else waits there.
 */
export function createTokenSigner(): TokenSigner & SigningKeys {
  let current: { readonly key: KeyObject; readonly header: string } | undefined;
  return {
    generate: generateSigningKey,
    use: ({ kid, privateKey }) => {
      const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' });
      if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('a signing key must be on P-256');
      current = { key, header: encodePart({ alg: 'ES256', typ: 'at+jwt', kid }) };
    },
    sign: (claims) => {
      if (current === undefined) return undefined;
      const input = `${current.header}.${encodePart(claims)}`;
      const signature = sign('sha256', Buffer.from(input, 'ascii'), { key: current.key, dsaEncoding: 'ieee-p1363' });
      return `${input}.${signature.toString('base64url')}`;
    },
  };
}

const encodePart = (value: unknown): string => Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');

function generateSigningKey(): NewSigningKey {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { kty, crv, x, y } = pair.publicKey.export({ format: 'jwk' });
  if (kty === undefined || crv === undefined || x === undefined || y === undefined) {
    throw new Error('the generated key has no P-256 coordinates');
  }
  // RFC 7638: the SHA-256 of the required members in alphabetical order, without white space.
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  const privateKey = new Uint8Array(pair.privateKey.export({ format: 'der', type: 'pkcs8' }));
  return { kid, publicJwk: { kty, crv, x, y }, privateKey };
}
