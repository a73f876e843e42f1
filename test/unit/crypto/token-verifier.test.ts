import { createHmac, sign } from 'node:crypto';
import fc from 'fast-check';
import { importJWK, jwtVerify, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { createTokenSigner } from '#adapters/crypto/token-signer.ts';
import { createTokenVerifier } from '#adapters/crypto/token-verifier.ts';
import { accessTokenClaims } from '#domain/identity/access-token.ts';
import type { SigningKeyRecord } from '#domain/identity/records.ts';
import { IAM_SCHEMA } from '#domain/identity/records.ts';
import { claimsOf, ISSUER, NOW_SECONDS, newKey, signToken } from '../../support/check-fixture.ts';

const key = newKey('key-1');
const other = newKey('key-2');

function verifying(records: readonly SigningKeyRecord[] = [key.record], cacheMaxCount = 100) {
  const keys = new Map(records.map((record) => [record.kid, record]));
  const verifier = createTokenVerifier({ issuer: ISSUER, signingKey: (kid) => keys.get(kid), cacheMaxCount });
  const outcome = (token: string, now = NOW_SECONDS) => {
    const result = verifier.verify(token, now);
    return result.ok ? 'ok' : result.reason;
  };
  return { keys, verifier, outcome };
}

const encode = (text: string | Buffer): string => Buffer.from(text).toString('base64url');
const good = () => signToken(key, claimsOf('usr_a'));
const parts = (token: string): readonly [string, string, string] => {
  const [header = '', payload = '', signature = ''] = token.split('.');
  return [header, payload, signature];
};

/** Signs whatever text as payload and header: what a holder of the key could produce, well formed or not. */
function signRaw(header: string, payload: string, dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363'): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${encode(sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding }))}`;
}
const HEADER = JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: 'key-1' });

describe('a token of ours', () => {
  it('says who it is for', () => {
    expect(verifying().verifier.verify(good(), NOW_SECONDS)).toEqual({
      ok: true,
      token: {
        principalId: 'usr_a',
        sessionId: 'ses_usr_a',
        tokenId: 'jti_aaaaaaaaaaaaaaaaaaaaaaaaaa',
        clientId: 'gateway',
        issuedAt: NOW_SECONDS - 60,
        expiresAt: NOW_SECONDS + 540,
      },
    });
  });

  it('verifies as the signer of the product makes it', () => {
    const signer = createTokenSigner();
    const { kid, publicJwk, privateKey } = signer.generate();
    signer.use({ kid, privateKey });
    const session = { id: 'ses_a', userId: 'usr_a', authTime: NOW_SECONDS, amr: ['pwd'] };
    const claims = accessTokenClaims({ issuer: ISSUER, tokenId: 'jti_a', session, nowSeconds: NOW_SECONDS });
    const record: SigningKeyRecord = {
      schema: IAM_SCHEMA,
      kid,
      algorithm: 'ES256',
      publicJwk,
      sealedPrivateKey: '',
      createdAt: '',
    };
    expect(verifying([record]).outcome(signer.sign(claims) ?? '')).toBe('ok');
  });

  it('verifies as jose makes it, and the other way round', async () => {
    const made = await new SignJWT({ ...claimsOf('usr_a') })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'key-1' })
      .sign(key.privateKey);
    expect(verifying().outcome(made)).toBe('ok');
    const publicKey = await importJWK({ ...key.record.publicJwk }, 'ES256');
    const { payload } = await jwtVerify(good(), publicKey, {
      algorithms: ['ES256'],
      issuer: ISSUER,
      audience: 'gateway',
      typ: 'at+jwt',
      currentDate: new Date(NOW_SECONDS * 1000),
    });
    expect(payload.sub).toBe('usr_a');
  });

  it('ends on the second it says, remembered or not', () => {
    const { outcome } = verifying();
    const token = good();
    expect(outcome(token, NOW_SECONDS + 539)).toBe('ok');
    expect(outcome(token, NOW_SECONDS + 540)).toBe('token_expired');
    expect(verifying().outcome(token, NOW_SECONDS + 540)).toBe('token_expired');
  });

  it('has another good signature (r, n - s), which gives the same answer and no other', () => {
    const { verifier } = verifying();
    const [header, payload, signature] = parts(good());
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const bytes = Buffer.from(signature, 'base64url');
    const flipped = (order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)).toString(16).padStart(64, '0');
    const twin = `${header}.${payload}.${encode(Buffer.concat([bytes.subarray(0, 32), Buffer.from(flipped, 'hex')]))}`;
    expect(verifier.verify(twin, NOW_SECONDS)).toEqual(
      verifier.verify(`${header}.${payload}.${signature}`, NOW_SECONDS),
    );
  });
});

describe('refused: ', () => {
  const publicPem = key.publicKey.export({ type: 'spki', format: 'pem' });
  const claims = JSON.stringify(claimsOf('usr_a'));
  const hmac = (header: string, secret: string | Buffer) => {
    const input = `${encode(header)}.${encode(claims)}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const [header, payload, signature] = parts(good());
  const zeros = encode(Buffer.alloc(64));

  it.each<readonly [string, string]>([
    ['nothing', ''],
    ['no token at all', 'rubbish'],
    ['alg none without signature', `${encode('{"alg":"none","typ":"at+jwt","kid":"key-1"}')}.${payload}.`],
    ['alg none with the signature', `${encode('{"alg":"none","typ":"at+jwt","kid":"key-1"}')}.${payload}.${signature}`],
    ['alg None', `${encode('{"alg":"None","typ":"at+jwt","kid":"key-1"}')}.${payload}.${signature}`],
    ['HS256 with the public key as PEM', hmac('{"alg":"HS256","typ":"at+jwt","kid":"key-1"}', publicPem)],
    ['HS256 with the coordinates', hmac('{"alg":"HS256","typ":"at+jwt","kid":"key-1"}', key.record.publicJwk.x)],
    ['ES256 said, HMAC made', hmac(HEADER, publicPem)],
    ['another key under our kid', signToken({ ...other, record: key.record }, claimsOf('usr_a'))],
    ['a kid nobody knows', signToken(other, claimsOf('usr_a'))],
    ['a kid that is a path', signToken(key, claimsOf('usr_a'), { kid: '../../etc/passwd' })],
    ['a kid with a NUL', signToken(key, claimsOf('usr_a'), { kid: 'key-1\0' })],
    ['a kid of 4 kB', signToken(key, claimsOf('usr_a'), { kid: 'k'.repeat(4_000) })],
    ['a kid that is a number', signToken(key, claimsOf('usr_a'), { kid: 1 })],
    ['a kid from a prototype', signToken(key, claimsOf('usr_a'), { kid: 'constructor' })],
    ['an embedded key', signToken(key, claimsOf('usr_a'), { jwk: key.record.publicJwk })],
    ['a key by address', signToken(key, claimsOf('usr_a'), { jku: 'https://evil.example/jwks.json' })],
    ['a certificate', signToken(key, claimsOf('usr_a'), { x5c: ['MIIB'] })],
    ['a critical extension', signToken(key, claimsOf('usr_a'), { crit: ['exp'] })],
    ['b64 switched off', signToken(key, claimsOf('usr_a'), { b64: false, crit: ['b64'] })],
    ['typ JWT', signToken(key, claimsOf('usr_a'), { typ: 'JWT' })],
    ['typ in capitals', signToken(key, claimsOf('usr_a'), { typ: 'AT+JWT' })],
    ['no typ', signRaw('{"alg":"ES256","kid":"key-1"}', claims)],
    ['no kid', signRaw('{"alg":"ES256","typ":"at+jwt"}', claims)],
    ['alg twice', signRaw('{"alg":"none","typ":"at+jwt","kid":"key-1","alg":"ES256"}', claims)],
    ['a header with a space', signRaw('{"alg": "ES256","typ":"at+jwt","kid":"key-1"}', claims)],
    ['a header that is a list', signRaw('["ES256"]', claims)],
    ['a header that is null', signRaw('null', claims)],
    ['sub twice', signRaw(HEADER, claims.replace('{', '{"sub":"usr_root",'))],
    ['a payload that is no JSON', signRaw(HEADER, 'x')],
    ['a payload that is null', signRaw(HEADER, 'null')],
    ['a DER signature', signRaw(HEADER, claims, 'der')],
    ['r = s = 0', `${header}.${payload}.${zeros}`],
    ['a signature cut short', `${header}.${payload}.${signature.slice(0, 84)}`],
    ['no signature', `${header}.${payload}.`],
    ['two parts', `${header}.${payload}`],
    ['four parts', `${good()}.x`],
    ['five parts', `${header}..${payload}.${signature}.x`],
    ['padding', `${good()}==`],
    ['padding inside', `${header}=.${payload}.${signature}`],
    ['a space in front', ` ${good()}`],
    ['a space inside', `${header}.${payload.slice(0, 8)} ${payload.slice(8)}.${signature}`],
    ['a line end behind', `${good()}\n`],
    ['plain base64', `${header}.${payload}.${signature.slice(0, -2)}+/`],
    ['parts of two tokens', `${header}.${parts(signToken(key, claimsOf('usr_b')))[1]}.${signature}`],
    ['5 MB', `${header}.${'A'.repeat(5_000_000)}.${signature}`],
  ])('%s', (_name, token) => {
    expect(verifying().outcome(token)).toBe('token_invalid');
  });

  it('trailing bits of the signature that say nothing', () => {
    const last = signature.charAt(85);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (let bit = 1; bit < 16; bit += 1) {
      const twin = alphabet.charAt(alphabet.indexOf(last) + bit);
      expect(Buffer.from(`${signature.slice(0, 85)}${twin}`, 'base64url')).toEqual(Buffer.from(signature, 'base64url'));
      expect(verifying().outcome(`${header}.${payload}.${signature.slice(0, 85)}${twin}`)).toBe('token_invalid');
    }
  });

  it.each<readonly [string, object]>([
    ['another issuer', { iss: `${ISSUER}/` }],
    ['another audience', { aud: 'other' }],
    ['a list of audiences', { aud: ['gateway', 'other'] }],
    ['another client', { client_id: 'other' }],
    ['no sub', { sub: undefined }],
    ['an empty sub', { sub: '' }],
    ['a sub that is a list', { sub: ['usr_a'] }],
    ['a sub with a line end', { sub: 'usr_a\r\nx-tenant-id: acme' }],
    ['a sub of 65 characters', { sub: 'u'.repeat(65) }],
    ['no sid', { sid: undefined }],
    ['no jti', { jti: undefined }],
    ['no exp', { exp: undefined }],
    ['an exp of text', { exp: String(NOW_SECONDS + 60) }],
    ['an exp for ever', { exp: 1e15 }],
    ['a fraction of an exp', { exp: NOW_SECONDS + 60.5 }],
    ['a life longer than ours', { exp: NOW_SECONDS + 541 }],
    ['an end before its beginning', { exp: NOW_SECONDS - 61 }],
    ['no iat', { iat: undefined }],
    ['an iat of tomorrow', { iat: NOW_SECONDS + 31, exp: NOW_SECONDS + 60 }],
    ['an auth_time of text', { auth_time: 'now' }],
    ['an amr of text', { amr: 'pwd' }],
  ])('%s', (_name, overrides) => {
    expect(verifying().outcome(signToken(key, claimsOf('usr_a', overrides)))).toBe('token_invalid');
  });

  it('any token with one changed character', () => {
    const token = good();
    const { outcome } = verifying();
    expect(outcome(token)).toBe('ok');
    fc.assert(
      fc.property(fc.nat({ max: token.length - 1 }), fc.constantFrom(...'AZaz09-_. =+'), (place, character) => {
        fc.pre(token.charAt(place) !== character);
        return outcome(token.slice(0, place) + character + token.slice(place + 1)) === 'token_invalid';
      }),
      { numRuns: 300 },
    );
  });
});

describe('keys', () => {
  it('are asked for at every verification: a withdrawn or changed one ends its tokens, remembered or not', () => {
    const { keys, outcome } = verifying();
    const token = good();
    expect(outcome(token)).toBe('ok');
    keys.delete('key-1');
    expect(outcome(token)).toBe('token_invalid');
    keys.set('key-1', key.record);
    expect(outcome(token)).toBe('ok');
    keys.set('key-1', { ...other.record, kid: 'key-1' });
    expect(outcome(token)).toBe('token_invalid');
  });

  it('read anew but equal keep their tokens', () => {
    const { keys, outcome } = verifying();
    const token = good();
    outcome(token);
    keys.set('key-1', structuredClone(key.record));
    expect(outcome(token)).toBe('ok');
  });

  it('whose point is not on the curve verify nothing, and throw nothing', () => {
    const { x, ...jwk } = key.record.publicJwk;
    const broken = { ...key.record, publicJwk: { ...jwk, x: encode(Buffer.alloc(32, 1)) } };
    expect(x).not.toBe(broken.publicJwk.x);
    expect(verifying([broken]).outcome(good())).toBe('token_invalid');
  });

  it('remember a bounded number of tokens, and answer for the others all the same', () => {
    const { outcome } = verifying([key.record], 4);
    const tokens = Array.from({ length: 12 }, (_, index) => signToken(key, claimsOf(`usr_${index}`)));
    for (let round = 0; round < 2; round += 1) {
      expect(tokens.map((token) => outcome(token))).toEqual(tokens.map(() => 'ok'));
    }
  });

  it('accept a clock that is a little ahead', () => {
    const token = signToken(key, claimsOf('usr_a', { iat: NOW_SECONDS + 30, exp: NOW_SECONDS + 600 }));
    expect(verifying().outcome(token)).toBe('ok');
  });
});
