import type { AccessView } from '#domain/access/access-view.ts';
import type { CommandIdHeaders } from '#domain/access/command-message.ts';
import { type DecisionContext, type DecisionRequest, type Denied, decide } from '#domain/access/decide.ts';
import {
  decodeParameter,
  type EndpointMatch,
  type EndpointMatcher,
  parameterNames,
} from '#domain/access/match-endpoint.ts';
import type { RoutingView } from '#domain/access/routing-view.ts';
import type { Credentials, TokenVerifier } from '#domain/access/verified-token.ts';
import type { EndpointRow } from '#domain/endpoints.ts';
import { isServiceKind } from '#domain/ids.ts';
import type { Clock } from '#ports/clock.ts';
import { type AnswerDeps, answerAllowed, answerDenied, beginTrail, type DecisionTrail } from './answer-decision.ts';
import type { CheckOrigin } from './check-trace.ts';
import type { RateGuard } from './rate-guard.ts';
import type { RevisionUse } from './revision-use.ts';
import type { SnapshotKeeper } from './snapshot-keeper.ts';
import { CheckRequestScanner, type ScannedRequest } from './wire/scan-check-request.ts';

/** What a check decides from; everything in memory. */
export interface CheckDeps extends AnswerDeps {
  readonly endpoints: EndpointMatcher;
  readonly access: AccessView & { isUsable(): boolean };
  /** Milliseconds since the access index was known to miss nothing. */
  readonly accessStalenessMs: () => number;
  readonly maxStalenessMs: number;
  readonly tokens: TokenVerifier;
  readonly routing: Pick<SnapshotKeeper, 'at' | 'atLast'>;
  /** Told of each request that is decided by a routing revision; absent where nobody asks for that. */
  readonly revisionUse?: Pick<RevisionUse, 'decided'>;
  readonly rates: RateGuard;
  readonly clock: Clock;
}

/** `wait`: only the routing revision is missing; ask again with the same bytes when it is there. */
type CheckResult =
  | { readonly kind: 'answer'; readonly bytes: Buffer }
  | { readonly kind: 'wait'; readonly revision: number };

export interface Check {
  /** The `CheckResponse` for a `CheckRequest`, at once. Never throws for anything a request can hold. */
  check(request: Buffer, origin?: CheckOrigin): CheckResult;
  /** The same when there is no time left to wait: a revision that is not there denies. */
  checkFinally(request: Buffer, origin?: CheckOrigin): Buffer;
}

/** A stamp or revision: a whole number that JavaScript holds exactly. */
const STAMP = /^(?:0|[1-9][0-9]{0,14})$/;
const BEARER = /^bearer +/i;
const NO_CREDENTIALS: Credentials = { kind: 'none' };
const UNREADABLE: Credentials = { kind: 'unreadable' };
const ABSENT: RoutingView = { state: 'absent' };

const denied = (reason: Denied['reason'], detail: string): Denied => ({ outcome: 'deny', reason, detail });
const NOT_SCANNED = denied('request_malformed', 'the request cannot be read');
const BAD_PATH = denied('request_malformed', 'the path is not in its one normal spelling');
const NOT_FOUND = denied('not_found', 'there is no such endpoint');
const NO_METHOD = denied('method_not_allowed', 'this endpoint has other methods');
const NO_ROUTE = denied('routing_unavailable', 'this request did not come by a route of the gateway');

/**
 * The decision service of Envoy's ext_authz filter as one synchronous function from bytes to bytes: scan, find the
 * endpoint, decide, write. It does no I/O and waits for nothing.
 */
export function createCheck(deps: CheckDeps): Check {
  const scanner = new CheckRequestScanner();

  function run(bytes: Buffer, isFinal: boolean, origin: CheckOrigin | undefined): CheckResult {
    const trail = beginTrail(performance.now(), origin);
    const scanned = scanner.scan(bytes);
    trail.scanned = scanner.met;
    if (scanned === undefined) return answer(answerDenied(NOT_SCANNED, trail, deps));
    const match = deps.endpoints.match(scanned.method, scanned.path);
    if (match.kind !== 'row') return answer(answerDenied(refuseMatch(match, trail), trail, deps));
    trail.endpointId = match.row.id;
    // A route of another kind, or none with a stamp: Envoy and this service do not speak of the same table.
    if (scanned.target !== match.row.target || match.row.target === 'envoy' || !STAMP.test(scanned.stamp)) {
      return answer(answerDenied(NO_ROUTE, trail, deps));
    }
    trail.revision = scanned.stamp;
    const routing = routingFor({ row: match.row, trail, isFinal });
    const decision = decide(requestOf(match, scanned), contextOf(routing));
    if (decision.outcome === 'wait') return { kind: 'wait', revision: Number(scanned.stamp) };
    // Only now, so that nobody pays twice for a request that has waited.
    const rate = deps.rates.charge(decision, { row: match.row, source: scanned.sourceAddress, nowMs: trail.startedAt });
    trail.rateFields = rate?.fields;
    const final = rate?.refused ?? decision;
    return answer(final.outcome === 'allow' ? answerAllowed(final, trail, deps) : answerDenied(final, trail, deps));
  }

  function routingFor(asked: { row: EndpointRow; trail: DecisionTrail; isFinal: boolean }): RoutingView {
    const { row, trail, isFinal } = asked;
    if (!isServiceKind(row.target)) return ABSENT;
    const stamp = Number(trail.revision);
    const routing = isFinal ? deps.routing.atLast(stamp) : deps.routing.at(stamp);
    if (routing.state === 'ahead' && isFinal) return ABSENT;
    if (routing.state === 'held') {
      trail.revision = String(routing.revision);
      trail.substituted = routing.substituted;
      deps.revisionUse?.decided(routing.revision, deps.clock.nowMs());
    }
    return routing;
  }

  const contextOf = (routing: RoutingView): DecisionContext => ({
    access: deps.access,
    accessIsFresh: deps.access.isUsable() && deps.accessStalenessMs() <= deps.maxStalenessMs,
    routing,
  });

  const requestOf = (match: Extract<EndpointMatch, { kind: 'row' }>, scanned: ScannedRequest): DecisionRequest => ({
    row: match.row,
    authorizationCount: countAuthorizations(scanned),
    tenantHeaders: scanned.tenantHeaders,
    credentials: match.row.access === 'public' ? NO_CREDENTIALS : readCredentials(scanned.authorization, deps),
    pathResource: match.resource === undefined ? undefined : decodeParameter(match.resource),
    // The JSON form of a command becomes its gRPC form before it gets here; one that did not holds no known message.
    message: match.grpc ? scanned.message : NO_MESSAGE,
    commandIdHeaders: match.grpc ? commandIdHeadersOf(scanned) : undefined,
    pathFields:
      match.grpc && scanned.transcoded ? pathFieldsOf(match.row, scanned.originalPath.read(), deps) : undefined,
    namedShard: match.row.shardHeader === undefined ? undefined : namedShardOf(scanned),
  });

  return {
    check: (request, origin) => run(request, false, origin),
    checkFinally: (request, origin) => {
      const result = run(request, true, origin);
      if (result.kind === 'answer') return result.bytes;
      throw new Error('a final check waits for nothing');
    },
  };
}

const answer = (bytes: Buffer): CheckResult => ({ kind: 'answer', bytes });

const NO_MESSAGE = { aggregate_type: [], aggregate_id: [], command_id: [] } as const;

/** Most commands name themselves in their message, and so pay for nothing here. */
function commandIdHeadersOf({ commandId, idempotencyKey }: ScannedRequest): CommandIdHeaders | undefined {
  if (commandId.count === 0 && idempotencyKey.count === 0) return undefined;
  return [commandId, idempotencyKey]
    .filter(({ count }) => count > 0)
    .map((header) => (header.count === 1 ? header.read() : undefined));
}

/** The shard that a request names; '' where it names several, undefined where none. */
const namedShardOf = ({ runnerShard }: ScannedRequest): string | undefined =>
  runnerShard.count === 0 ? undefined : runnerShard.count === 1 ? runnerShard.read() : '';

/** What the path of a JSON command said, by the names of its template; what cannot be read is undefined. */
function pathFieldsOf(
  row: EndpointRow,
  originalPath: string,
  { endpoints }: Pick<CheckDeps, 'endpoints'>,
): ReadonlyMap<string, string | undefined> {
  const match = endpoints.match(row.method, originalPath);
  const values = match.kind === 'row' && match.row === row && !match.grpc ? match.values : [];
  return new Map(parameterNames(row.path).map((name, at) => [name, decodeParameter(values[at] ?? '%')]));
}

function refuseMatch(match: Exclude<EndpointMatch, { kind: 'row' }>, trail: DecisionTrail): Denied {
  if (match.kind === 'malformed') return BAD_PATH;
  if (match.kind === 'not_found') return NOT_FOUND;
  trail.allow = match.allow;
  return NO_METHOD;
}

/**
 * How many authorization headers the client sent. Envoy joins several into one with commas before anybody sees them, as
 * it may (RFC 9110, 5.3); no bearer token holds a comma.
 */
const countAuthorizations = ({ authorization, authorizationCount }: ScannedRequest): number =>
  authorization.includes(',') ? authorizationCount + 1 : authorizationCount;

/** Reads `Authorization: Bearer <token>` (RFC 6750, 2.1; the scheme in any case, RFC 9110, 11.1). */
function readCredentials(header: string, deps: Pick<CheckDeps, 'tokens' | 'clock'>): Credentials {
  if (header.trim() === '') return NO_CREDENTIALS;
  const scheme = BEARER.exec(header);
  if (scheme === null) return UNREADABLE;
  const token = header.slice(scheme[0].length);
  return { kind: 'token', result: deps.tokens.verify(token, Math.floor(deps.clock.nowMs() / 1000)) };
}
