import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { TokenResult, TokenVerifier, VerifiedToken } from '#domain/access/verified-token.ts';
import { ACCESS_TOKEN_AUDIENCE, FIRST_PARTY_CLIENT } from '#domain/identity/access-token.ts';
import type { SigningKeyRecord } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';

/** Compact JWS of three non-empty parts (RFC 7515, 7.1): no padding, no spaces, no fourth part. */
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const ID = /^[A-Za-z0-9_-]+$/;
/** r and s of P-256 side by side (RFC 7518, 3.4). */
const SIGNATURE_BYTES = 64;
const SIGNATURE_CHARS = 86;

const INVALID: TokenResult = { ok: false, reason: 'token_invalid' };
const EXPIRED: TokenResult = { ok: false, reason: 'token_expired' };

interface VerifyingKey {
  record: SigningKeyRecord;
  readonly key: KeyObject;
}

interface Known {
  readonly kid: string;
  readonly key: VerifyingKey;
  readonly answer: { readonly ok: true; readonly token: VerifiedToken };
}

export interface TokenVerifierOptions {
  /** `iss` of our tokens: the public URL. */
  readonly issuer: string;
  /** The signing keys in force, as the access index knows them; asked at every verification, so it must be quick. */
  readonly signingKey: (kid: string) => SigningKeyRecord | undefined;
  /** Verified tokens kept; default `LIMITS.verifiedTokensMaxCount`. */
  readonly cacheMaxCount?: number;
}

/**
 * Verifies our own access tokens (RFC 9068; RFC 8725): one algorithm, keys from our store alone, every claim checked.
 * Synchronous node:crypto, because the asynchronous ways share libuv's few threads with password hashing.
 *
 * What verified is remembered under the whole text of the token. A token's text is malleable (s and n-s both verify),
 * so the memory is only a shortcut: two texts of one token are two entries with equal answers, and revocation never
 * goes by the text. Failures are not remembered: they would push out what costs to make anew.
 */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const keys = new Map<string, VerifyingKey>();
  const known = new RecentTokens(options.cacheMaxCount ?? LIMITS.verifiedTokensMaxCount);

  function keyOf(kid: string): VerifyingKey | undefined {
    const record = options.signingKey(kid);
    const kept = keys.get(kid);
    if (record === undefined) {
      keys.delete(kid);
      return undefined;
    }
    if (kept?.record === record) return kept;
    if (kept !== undefined && samePoint(kept.record, record)) {
      kept.record = record;
      return kept;
    }
    const key = importKey(record);
    if (key === undefined) return undefined;
    const made = { record, key };
    if (keys.size >= LIMITS.signingKeysMaxCount) keys.clear();
    keys.set(kid, made);
    return made;
  }

  return {
    verify: (text, nowSeconds) => {
      const remembered = known.get(text);
      if (remembered !== undefined && keyOf(remembered.kid) === remembered.key) {
        return nowSeconds < remembered.answer.token.expiresAt ? remembered.answer : EXPIRED;
      }
      const parts = splitToken(text);
      const key = parts && keyOf(parts.kid);
      if (parts === undefined || key === undefined || !signatureHolds(key.key, parts)) return INVALID;
      const claims = parseCompactJson(parts.payload);
      const token = claims && readClaims(claims, options.issuer, nowSeconds);
      if (token === undefined) return INVALID;
      if (nowSeconds >= token.expiresAt) return EXPIRED;
      const answer = { ok: true, token } as const;
      known.set(text, { kid: parts.kid, key, answer });
      return answer;
    },
  };
}

const samePoint = (left: SigningKeyRecord, right: SigningKeyRecord): boolean =>
  left.publicJwk.x === right.publicJwk.x && left.publicJwk.y === right.publicJwk.y;

function importKey({ publicJwk }: SigningKeyRecord): KeyObject | undefined {
  try {
    const { kty, crv, x, y } = publicJwk;
    const key = createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });
    return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : undefined;
  } catch {
    // A point that is not on the curve: the record is useless, and so is every token that names it.
    return undefined;
  }
}

interface TokenParts {
  readonly kid: string;
  readonly signed: string;
  readonly payload: string;
  readonly signature: Buffer;
}

/** The parts of a token whose form and header are ours, or undefined. */
function splitToken(text: string): TokenParts | undefined {
  if (text.length > LIMITS.accessTokenMaxBytes || !COMPACT_JWS.test(text)) return undefined;
  const first = text.indexOf('.');
  const last = text.lastIndexOf('.');
  const kid = readHeader(text.slice(0, first));
  const signatureText = text.slice(last + 1);
  if (kid === undefined || signatureText.length !== SIGNATURE_CHARS) return undefined;
  const signature = decodeStrictly(signatureText);
  if (signature?.length !== SIGNATURE_BYTES) return undefined;
  return { kid, signed: text.slice(0, last), payload: text.slice(first + 1, last), signature };
}

/** Exactly `alg`, `typ` and `kid`: no `crit`, and none of the members that bring or name keys (RFC 8725, 3.10). */
function readHeader(part: string): string | undefined {
  const header = parseCompactJson(part);
  if (header === undefined || Object.keys(header).length !== 3) return undefined;
  const { alg, typ, kid } = header;
  if (alg !== 'ES256' || typ !== 'at+jwt') return undefined;
  return typeof kid === 'string' && kid.length <= LIMITS.tokenIdMaxChars && ID.test(kid) ? kid : undefined;
}

/** base64url whose unused trailing bits are zero, so that each value has one spelling. */
function decodeStrictly(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : undefined;
}

/**
 * An object spelled the one way we spell it: compact, no duplicate member, no second way to write a text or a number.
 * A reader that would take the first of two `sub` and one that would take the last never disagree about such a token.
 */
function parseCompactJson(part: string): Readonly<Record<string, unknown>> | undefined {
  const bytes = decodeStrictly(part);
  if (bytes === undefined) return undefined;
  try {
    const text = bytes.toString('utf8');
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return JSON.stringify(value) === text ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function signatureHolds(key: KeyObject, { signed, signature }: TokenParts): boolean {
  return verify('sha256', Buffer.from(signed, 'latin1'), { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/** The claims of design section 5.5, each of its type; undefined when one is not as we mint it. */
function readClaims(
  claims: Readonly<Record<string, unknown>>,
  issuer: string,
  nowSeconds: number,
): VerifiedToken | undefined {
  const { iss, aud, client_id: clientId, sub, sid, jti, iat, exp, auth_time: authTime, amr } = claims;
  // `aud` is one text on purpose: a list would pass on a single match among audiences we know nothing of.
  if (iss !== issuer || aud !== ACCESS_TOKEN_AUDIENCE || clientId !== FIRST_PARTY_CLIENT) return undefined;
  if (!isId(sub) || !isId(sid) || !isId(jti) || !isTime(iat) || !isTime(exp)) return undefined;
  if (authTime !== undefined && !isTime(authTime)) return undefined;
  if (amr !== undefined && !isTextList(amr)) return undefined;
  if (iat > nowSeconds + LIMITS.clockSkewMaxSeconds) return undefined;
  // A token that lives longer than ours ever do would outlive the revocation of its session.
  if (exp <= iat || exp - iat > LIMITS.accessTokenLifetimeSeconds) return undefined;
  return { principalId: sub, sessionId: sid, tokenId: jti, clientId, issuedAt: iat, expiresAt: exp };
}

const isId = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= LIMITS.tokenIdMaxChars && ID.test(value);
const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;
const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string');

/**
 * The most recently used tokens, in two generations: a hit in the young one writes nothing, one in the old one moves
 * up, and when the young one is full it becomes the old one. Never more than `maxCount` in all.
 */
class RecentTokens {
  readonly #generationMaxCount: number;
  #young = new Map<string, Known>();
  #old = new Map<string, Known>();

  constructor(maxCount: number) {
    this.#generationMaxCount = Math.max(1, Math.floor(maxCount / 2));
  }

  get(text: string): Known | undefined {
    const young = this.#young.get(text);
    if (young !== undefined) return young;
    const old = this.#old.get(text);
    if (old !== undefined) this.set(text, old);
    return old;
  }

  set(text: string, known: Known): void {
    if (this.#young.size >= this.#generationMaxCount) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, known);
  }
}
