import { type Outcome, refuse } from '#domain/errors.ts';
import { ANONYMOUS, type CallContext } from '#domain/identity/audit.ts';
import { parseRefreshToken, type RefreshToken } from '#domain/identity/opaque-token.ts';
import { encodeRecord, readSession, readUser } from '#domain/identity/record-codec.ts';
import { iamKey, type SessionRecord, type UserRecord } from '#domain/identity/records.ts';
import { decideRefresh, type PresentedSecret, rotateSession, sessionTtlSeconds } from '#domain/identity/session.ts';
import { LIMITS } from '#domain/limits.ts';
import { StoreError } from '#ports/key-value-store.ts';
import { commitDecision, withStorage } from '../commit/commit-decision.ts';
import type { IdentityServices } from './identity-services.ts';
import { type IssuedTokens, issueTokens } from './issue-tokens.ts';
import { revokeSessionWrites } from './revoke-session.ts';

const invalid = () => refuse('credentials_invalid', 'the refresh token is not valid');
const revoked = () => refuse('session_revoked', 'the session has ended; sign in again');

interface LoadedSession {
  readonly session: SessionRecord;
  readonly revision: number;
  readonly user: UserRecord;
}

/**
 * Exchanges a refresh token for the next one and an access token (domain/identity/session.ts has the rules). The
 * rotation is one compare-and-set on the session record. A lost race is read again: the winner's child is then
 * repeated, so concurrent requests with one token get one and the same continuation. A replay ends the session.
 */
export function refreshSession(services: IdentityServices) {
  return async (request: { readonly refreshToken: string }, context: CallContext): Promise<Outcome<IssuedTokens>> => {
    const token = parseRefreshToken(request.refreshToken);
    // A guessed secret neither costs a read nor ends anybody's session.
    if (token === undefined || !services.secrets.isOurRefreshSecret(token.sessionId, token.secret)) return invalid();
    return withStorage(async () => {
      for (let tries = 0; tries <= LIMITS.conflictRetriesMaxCount; tries += 1) {
        const answer = await refreshOnce(services, token, context);
        if (answer !== 'changed meanwhile') return answer;
      }
      return refuse('conflict', 'the session kept changing; try again');
    });
  };
}

async function refreshOnce(
  services: IdentityServices,
  token: RefreshToken,
  context: CallContext,
): Promise<Outcome<IssuedTokens> | 'changed meanwhile'> {
  const { secrets, clock } = services;
  const nowMs = clock.nowMs();
  const loaded = await loadSession(services, token);
  if (loaded === undefined) return invalid();
  const { session, user } = loaded;
  if (user.status !== 'active' || session.authTime < user.tokensValidAfter) return invalid();
  const presentedHash = secrets.digest(token.secret);
  const presented = whichSecret(services, session, presentedHash);
  switch (decideRefresh(session, presented, Math.floor(nowMs / 1000))) {
    case 'ended':
      return session.revokedAt === undefined ? invalid() : revoked();
    case 'replayed':
      return endReplayedSession(services, token, context);
    case 'repeat':
      return issueTokens(
        services,
        session,
        secrets.childRefreshSecret(session.id, token.secret, session.rotationSalt ?? ''),
      );
    case 'rotate':
      return rotate(services, loaded, { secret: token.secret, hash: presentedHash, nowMs });
  }
}

function whichSecret({ secrets }: IdentityServices, session: SessionRecord, hash: string): PresentedSecret {
  const current = secrets.equal(session.secretHash, hash);
  const previous = session.previousSecretHash !== undefined && secrets.equal(session.previousSecretHash, hash);
  if (current) return 'current';
  return previous ? 'previous' : 'other';
}

async function rotate(
  services: IdentityServices,
  loaded: LoadedSession,
  parent: { readonly secret: string; readonly hash: string; readonly nowMs: number },
): Promise<Outcome<IssuedTokens> | 'changed meanwhile'> {
  const { store, secrets } = services;
  const rotationSalt = secrets.newSecret();
  const childSecret = secrets.childRefreshSecret(loaded.session.id, parent.secret, rotationSalt);
  const next = rotateSession(loaded.session, {
    parentHash: parent.hash,
    childHash: secrets.digest(childSecret),
    rotationSalt,
    nowMs: parent.nowMs,
  });
  const tokens = issueTokens(services, next, childSecret);
  if (!tokens.ok) return tokens;
  try {
    await store.commit([
      {
        key: iamKey.session(next.userId, next.id),
        value: encodeRecord(next),
        expect: loaded.revision,
        ttlSeconds: sessionTtlSeconds(next, parent.nowMs),
      },
    ]);
    return tokens;
  } catch (error) {
    // Unknown outcomes are read again too: if our write landed, the same child is repeated.
    if (error instanceof StoreError && (error.kind === 'conflict' || error.kind === 'outcome_unknown')) {
      return 'changed meanwhile';
    }
    throw error;
  }
}

async function endReplayedSession(
  services: IdentityServices,
  token: RefreshToken,
  context: CallContext,
): Promise<Outcome<IssuedTokens>> {
  const auditId = services.secrets.newId('aud');
  const outcome = await commitDecision({
    store: services.store,
    operationKey: iamKey.audit(auditId),
    attempt: async () => {
      const loaded = await loadSession(services, token);
      if (loaded === undefined || loaded.session.revokedAt !== undefined) return { answer: revoked() };
      return {
        writes: revokeSessionWrites({
          session: loaded.session,
          revision: loaded.revision,
          auditId,
          context: { ...context, actor: ANONYMOUS },
          reason: 'refresh_token_replayed',
          nowMs: services.clock.nowMs(),
        }),
        committed: () => undefined,
      };
    },
  });
  return outcome.ok ? revoked() : outcome;
}

async function loadSession({ store }: IdentityServices, token: RefreshToken): Promise<LoadedSession | undefined> {
  const [session, user] = await Promise.all([
    store.get(iamKey.session(token.userId, token.sessionId)),
    store.get(iamKey.user(token.userId)),
  ]);
  if (session === undefined || user === undefined) return undefined;
  return { session: readSession(session.value), revision: session.revision, user: readUser(user.value) };
}
