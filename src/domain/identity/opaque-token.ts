import type { OneTimePurpose } from './records.ts';

/**
 * The opaque tokens we hand out. Each kind has its own prefix, so that one can never be taken for another, and its
 * secret is kept as a SHA-256 only. `<id>` parts are record ids, which let a token be found without an index.
 */
export interface RefreshToken {
  readonly userId: string;
  readonly sessionId: string;
  /** base64url of 256 secret bits and 128 bits that prove we made them (see `ports/secrets.ts`). */
  readonly secret: string;
}

const USER_ID = /^usr_[a-z2-7]{26}$/;
const SESSION_ID = /^ses_[a-z2-7]{26}$/;
const REFRESH_SECRET = /^[A-Za-z0-9_-]{64}$/;
const ONE_TIME_SECRET = /^[A-Za-z0-9_-]{43}$/;

/** `rt1.<user>.<session>.<secret>`. */
export const formatRefreshToken = (token: RefreshToken): string =>
  `rt1.${token.userId}.${token.sessionId}.${token.secret}`;

/** The parts of a refresh token, or undefined when it is not one. Says nothing about whether it is in force. */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  const [kind, userId, sessionId, secret, ...rest] = text.split('.', 5);
  if (kind !== 'rt1' || userId === undefined || sessionId === undefined || secret === undefined || rest.length > 0) {
    return undefined;
  }
  if (!USER_ID.test(userId) || !SESSION_ID.test(sessionId) || !REFRESH_SECRET.test(secret)) return undefined;
  return { userId, sessionId, secret };
}

const ONE_TIME_PREFIX: Readonly<Record<OneTimePurpose, string>> = { verify_email: 'ev1' };

/** `<prefix of the purpose>.<secret>`. */
export const formatOneTimeToken = (purpose: OneTimePurpose, secret: string): string =>
  `${ONE_TIME_PREFIX[purpose]}.${secret}`;

/** The secret of a one-time token of this purpose, or undefined when the text is no such token. */
export function parseOneTimeToken(purpose: OneTimePurpose, text: string): string | undefined {
  const prefix = `${ONE_TIME_PREFIX[purpose]}.`;
  const secret = text.slice(prefix.length);
  return text.startsWith(prefix) && ONE_TIME_SECRET.test(secret) ? secret : undefined;
}
