import { numberOf, textOf } from './answer.ts';
import { NotSignedInError, RefusedError } from './failures.ts';
import type { Gateway } from './gateway-client.ts';
import type { SavedSession, TokenStore } from './token-store.ts';

/** A token this close to its end is replaced first: it must outlive the call and a difference of the clocks. */
const EXPIRY_MARGIN_MS = 30_000;

/** Where a call gets its access token from. */
export interface AccessTokens {
  /** A token that should work now. @throws NotSignedInError */
  current(): Promise<string>;
  /** A new token after the gateway refused `rejected` as stale; undefined when there is no way to get one. */
  replace(rejected: string): Promise<string | undefined>;
}

/** A token given from outside: used as it is, never refreshed. */
export const fixedToken = (token: string): AccessTokens => ({
  current: async () => token,
  replace: async () => undefined,
});

/** Tokens of the saved sign-in, refreshed when they are about to end and saved again before they are used. */
export function savedTokens(options: {
  readonly url: string;
  readonly store: TokenStore;
  /** Calls public endpoints only. */
  readonly gateway: Gateway;
  readonly nowMs: () => number;
}): AccessTokens {
  const { url, store, gateway, nowMs } = options;
  const isFresh = (session: SavedSession, rejected?: string): boolean =>
    session.accessToken !== '' &&
    session.accessToken !== rejected &&
    session.accessExpiresAtMs - EXPIRY_MARGIN_MS > nowMs();

  const refreshed = (rejected?: string): Promise<string> =>
    store.withLock(url, async () => {
      // Read again inside the lock: another command may have refreshed while this one waited.
      const session = await store.load(url);
      if (session === undefined) throw notSignedIn(url);
      if (isFresh(session, rejected)) return session.accessToken;
      const answer = await spend(gateway, store, session);
      const next = sessionOf(answer, session.email, nowMs());
      await store.save(url, next);
      return next.accessToken;
    });

  return {
    current: async () => {
      const session = await store.load(url);
      if (session === undefined) throw notSignedIn(url);
      return isFresh(session) ? session.accessToken : refreshed();
    },
    replace: (rejected) => refreshed(rejected),
  };
}

/** Signs in with a password and saves the session. @throws RefusedError, UnreachableError */
export async function signIn(options: {
  readonly gateway: Gateway;
  readonly store: TokenStore;
  readonly email: string;
  readonly password: string;
  readonly nowMs: number;
}): Promise<SavedSession> {
  const { gateway, store, email, password } = options;
  const answer = await gateway.call({ endpoint: 'auth.signin', body: { email, password } });
  const session = sessionOf(answer, email, options.nowMs);
  await store.withLock(gateway.url, () => store.save(gateway.url, session));
  return session;
}

const notSignedIn = (url: string): NotSignedInError =>
  new NotSignedInError(`not signed in at ${url}; run \`gatewayctl login --email EMAIL\` or set GATEWAY_TOKEN`);

/** Trades the refresh token in. One that the gateway refuses is dead for good, so the sign-in is forgotten. */
async function spend(gateway: Gateway, store: TokenStore, session: SavedSession): Promise<unknown> {
  try {
    return await gateway.call({ endpoint: 'auth.refresh', body: { refresh_token: session.refreshToken } });
  } catch (error) {
    if (!(error instanceof RefusedError && error.status === 401)) throw error;
    await store.remove(gateway.url);
    const who = session.email === '' ? 'EMAIL' : session.email;
    throw new NotSignedInError(
      `the sign-in at ${gateway.url} has ended (${error.code ?? error.status}); run \`gatewayctl login --email ${who}\``,
    );
  }
}

function sessionOf(answer: unknown, email: string, nowMs: number): SavedSession {
  const accessToken = textOf(answer, 'access_token');
  const refreshToken = textOf(answer, 'refresh_token');
  const seconds = numberOf(answer, 'expires_in');
  if (accessToken === undefined || refreshToken === undefined || seconds === undefined) {
    throw new RefusedError(200, {
      title: 'The answer is not one of the gateway',
      detail: 'the sign-in answer holds no tokens',
    });
  }
  return { email, accessToken, refreshToken, accessExpiresAtMs: nowMs + seconds * 1000 };
}
