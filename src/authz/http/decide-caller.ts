import { type AccessView, holdsRight } from '#domain/access/access-view.ts';
import { decide } from '#domain/access/decide.ts';
import type { Credentials, TokenVerifier } from '#domain/access/verified-token.ts';
import { refuse, succeed } from '#domain/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Authenticate, Principal } from './authenticate.ts';

/** RFC 6750, 2.1 (the scheme's case does not matter, RFC 9110, 11.1). */
const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i;
const NO_MESSAGE = { aggregate_type: [], aggregate_id: [], command_id: [] };

/**
 * Lets a caller in by the very decision that ext_authz makes, on the same in-memory view: revoked sessions, disabled
 * users and lost rights count here at the same moment. A row of the API needs no placement, so no routing is asked.
 */
export function decideCaller(options: {
  readonly access: AccessView;
  /** Whether the view is complete and recent enough to decide by. */
  readonly isFresh: () => boolean;
  readonly verifier: TokenVerifier;
  readonly clock: Clock;
}): Authenticate {
  const { access, verifier, clock } = options;
  return ({ row, authorization, tenantId }) => {
    const nowSeconds = Math.floor(clock.nowMs() / 1000);
    const credentials = readCredentials(authorization, (token) => verifier.verify(token, nowSeconds));
    const decision = decide(
      {
        row,
        authorizationCount: authorization === undefined ? 0 : 1,
        tenantHeaders: tenantId === undefined ? [] : [tenantId],
        credentials,
        pathResource: undefined,
        message: NO_MESSAGE,
      },
      { access, accessIsFresh: options.isFresh(), routing: { state: 'absent' } },
    );
    if (decision.outcome === 'deny') return refuse(decision.reason, decision.detail, decision.errors);
    if (decision.outcome === 'wait' || decision.principal === undefined) {
      return refuse('routing_unavailable', 'no decision could be made about this request');
    }
    const { id, kind } = decision.principal;
    const reach = scopeOf(access, { principalId: id, action: row.action, tenantId: decision.tenantId });
    const principal: Principal = { id, kind, scope: reach };
    return succeed(
      credentials.kind === 'token' && credentials.result.ok
        ? { ...principal, sessionId: credentials.result.token.sessionId }
        : principal,
    );
  };
}

/** How far the right reaches that let the caller in: the platform (null) if it is held there, else the tenant named. */
function scopeOf(
  access: AccessView,
  caller: { readonly principalId: string; readonly action: string | undefined; readonly tenantId: string | undefined },
): string | null {
  const { principalId, action, tenantId } = caller;
  if (tenantId === undefined) return null;
  return action !== undefined && holdsRight(access, { principalId, tenantId: null }, action, '*') ? null : tenantId;
}

function readCredentials(
  authorization: string | undefined,
  verify: (token: string) => Extract<Credentials, { kind: 'token' }>['result'],
): Credentials {
  if (authorization === undefined) return { kind: 'none' };
  const token = BEARER.exec(authorization)?.[1];
  return token === undefined ? { kind: 'unreadable' } : { kind: 'token', result: verify(token) };
}
