import fc from 'fast-check';
import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { parseMasterKey } from '#adapters/crypto/master-key.ts';
import { createSecrets } from '#adapters/crypto/secrets.ts';
import { createTokenSigner } from '#adapters/crypto/token-signer.ts';
import {
  formatOneTimeToken,
  formatRefreshToken,
  parseOneTimeToken,
  parseRefreshToken,
} from '#domain/identity/opaque-token.ts';

const KEY = new Uint8Array(32).fill(1);
const secrets = createSecrets(KEY);
const sessionId = secrets.newId('ses');
const userId = secrets.newId('usr');

describe('ids', () => {
  it('have the one form, and are new each time', () => {
    const ids = Array.from({ length: 1_000 }, () => secrets.newId('jti'));
    for (const id of ids) expect(id).toMatch(/^jti_[a-z2-7]{26}$/);
    expect(new Set(ids).size).toBe(1_000);
  });

  it('that are derived depend on every part and on where parts end', () => {
    const id = secrets.derivedId('asg', ['a', 'bc', 'd']);
    expect(id).toMatch(/^asg_[a-z2-7]{26}$/);
    expect(secrets.derivedId('asg', ['a', 'bc', 'd'])).toBe(id);
    expect(secrets.derivedId('asg', ['ab', 'c', 'd'])).not.toBe(id);
    expect(secrets.derivedId('asg', ['a', 'bc', 'e'])).not.toBe(id);
  });
});

describe('refresh secrets', () => {
  it('are recognised for their session alone, and by the key that made them', () => {
    const secret = secrets.newRefreshSecret(sessionId);
    expect(secrets.isOurRefreshSecret(sessionId, secret)).toBe(true);
    expect(secrets.isOurRefreshSecret(secrets.newId('ses'), secret)).toBe(false);
    expect(createSecrets(new Uint8Array(32).fill(2)).isOurRefreshSecret(sessionId, secret)).toBe(false);
  });

  it('fail with any one character changed', () => {
    const secret = secrets.newRefreshSecret(sessionId);
    fc.assert(
      fc.property(fc.nat(63), fc.constantFrom(...'ABCxyz019-_'), (at, character) => {
        const changed = secret.slice(0, at) + character + secret.slice(at + 1);
        expect(secrets.isOurRefreshSecret(sessionId, changed)).toBe(changed === secret);
      }),
    );
  });

  it('have one child per parent and salt', () => {
    const parent = secrets.newRefreshSecret(sessionId);
    const child = secrets.childRefreshSecret(sessionId, parent, 'salt');
    expect(secrets.childRefreshSecret(sessionId, parent, 'salt')).toBe(child);
    expect(secrets.childRefreshSecret(sessionId, parent, 'other')).not.toBe(child);
    expect(secrets.childRefreshSecret(sessionId, child, 'salt')).not.toBe(child);
    expect(secrets.isOurRefreshSecret(sessionId, child)).toBe(true);
  });

  it('travel in a token that is read back, and nothing else is', () => {
    const token = { userId, sessionId, secret: secrets.newRefreshSecret(sessionId) };
    expect(parseRefreshToken(formatRefreshToken(token))).toEqual(token);
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '.', '=', ' ')), (noise) => {
        const text = formatRefreshToken(token);
        if (noise !== '') expect(parseRefreshToken(text + noise)).toBeUndefined();
        expect(parseRefreshToken(noise)).toBeUndefined();
      }),
    );
  });
});

describe('kinds of tokens', () => {
  it('are not taken for each other', () => {
    const oneTime = formatOneTimeToken('verify_email', secrets.newSecret());
    const refresh = formatRefreshToken({ userId, sessionId, secret: secrets.newRefreshSecret(sessionId) });
    expect(parseOneTimeToken('verify_email', oneTime)).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(parseOneTimeToken('verify_email', refresh)).toBeUndefined();
    expect(parseOneTimeToken('verify_email', oneTime.slice('ev1.'.length))).toBeUndefined();
    expect(parseRefreshToken(oneTime)).toBeUndefined();
  });
});

describe('sealing', () => {
  it('opens with the same key and context only, and not when a bit changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), (plaintext, flip) => {
        const sealed = secrets.seal(plaintext, 'k.one');
        expect(secrets.open(sealed, 'k.one')).toEqual(plaintext);
        expect(() => secrets.open(sealed, 'k.two')).toThrow();
        expect(() => createSecrets(new Uint8Array(32).fill(2)).open(sealed, 'k.one')).toThrow();
        const bytes = Buffer.from(sealed, 'base64url');
        const at = flip % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
        expect(() => secrets.open(bytes.toString('base64url'), 'k.one')).toThrow();
      }),
      { numRuns: 50 },
    );
    expect(secrets.seal(KEY, 'k')).not.toBe(secrets.seal(KEY, 'k'));
    expect(() => secrets.open('short', 'k')).toThrow('too short');
  });
});

describe('the master key', () => {
  it('is 32 bytes in base64url, and its text is in no message', () => {
    const text = Buffer.from(KEY).toString('base64url');
    expect(parseMasterKey(`${text}\n`, 'file')).toEqual(KEY);
    for (const bad of ['', 'secret-text', `${text}=`, text.slice(1), `${text}AA`]) {
      expect(() => parseMasterKey(bad, 'the file')).toThrow(/^the file must hold 32 bytes/);
    }
  });

  it('gives e-mail tokens of fixed length that depend on it', () => {
    const token = secrets.emailToken('ann@example.org');
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(secrets.emailToken('x'.repeat(254))).toHaveLength(43);
    expect(createSecrets(new Uint8Array(32).fill(2)).emailToken('ann@example.org')).not.toBe(token);
  });
});

describe('the signer', () => {
  const claims = {
    iss: 'https://gateway.example',
    sub: userId,
    aud: 'gateway',
    exp: 2_000_000_000,
    iat: 1_900_000_000,
    jti: 'jti_x',
    client_id: 'gateway',
    sid: sessionId,
    auth_time: 1_900_000_000,
    amr: ['pwd'],
  };

  it('signs nothing before it has a key, and then what an independent library verifies', async () => {
    const signer = createTokenSigner();
    expect(signer.sign(claims)).toBeUndefined();
    const key = signer.generate();
    signer.use(key);
    const token = signer.sign(claims) ?? '';
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: key.kid });
    const { payload } = await jwtVerify(token, await importJWK({ ...key.publicJwk }, 'ES256'), {
      currentDate: new Date(1_950_000_000_000),
      typ: 'at+jwt',
    });
    expect(payload).toEqual(claims);
  });

  it('refuses a key of another kind', () => {
    expect(() => createTokenSigner().use({ kid: 'x', privateKey: new Uint8Array(40) })).toThrow();
  });
});
