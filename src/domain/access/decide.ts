import type { EndpointRow } from '../endpoints.ts';
import { isServiceKind, isTenantId } from '../ids.ts';
import { type AccessView, holdsRight, type Principal } from './access-view.ts';
import {
  type CommandIdHeaders,
  commandIdOf,
  type MessageFields,
  mismatches,
  omissions,
  soleValue,
} from './command-message.ts';
import { placeRequest, refuseShardName } from './place-request.ts';
import { type Refusal, refusal } from './refusal.ts';
import type { Place, RoutingView } from './routing-view.ts';
import type { Credentials, VerifiedToken } from './verified-token.ts';

/** One request as the decision sees it: plain data, nothing of the wire. */
export interface DecisionRequest {
  readonly row: EndpointRow;
  /** Values of `authorization` and `x-tenant-id`; more than one of either is refused. */
  readonly authorizationCount: number;
  readonly tenantHeaders: readonly string[];
  /** Only looked at where the row is not public. */
  readonly credentials: Credentials;
  /** The decoded path parameter that names the resource; undefined when its escapes are not strict UTF-8. */
  readonly pathResource: string | undefined;
  /** Fields of the final message, where the row is a command; each must be there exactly once and not empty. */
  readonly message: MessageFields;
  /** Headers that name a command, in place of a `command_id` in its message; undefined for none. */
  readonly commandIdHeaders?: CommandIdHeaders | undefined;
  /** Of a command in its JSON form: what its path said for the fields of the message; undefined for any other. */
  readonly pathFields?: ReadonlyMap<string, string | undefined> | undefined;
  /** The shard that the row's header names, in the place of the tenant's; '' where it is there several times. */
  readonly namedShard?: string | undefined;
}

/** What the decision is made from. */
export interface DecisionContext {
  readonly access: AccessView;
  /** False: nothing was loaded yet, or the index is older than it may be. */
  readonly accessIsFresh: boolean;
  readonly routing: RoutingView;
}

/** Allowed: who it is, for which tenant, and where it goes (undefined: to the API). */
export interface Allowed {
  readonly outcome: 'allow';
  readonly principal: Principal | undefined;
  readonly tenantId: string | undefined;
  readonly place: Place | undefined;
  /** The id of a command; undefined where the request is none. */
  readonly commandId: string | undefined;
}

export interface Denied extends Refusal {
  readonly outcome: 'deny';
  readonly principalId?: string;
  readonly tenantId?: string;
}

export type Decision = Allowed | Denied | { readonly outcome: 'wait' };

/** What the checks have established so far. A check reads what earlier ones have set. */
interface Facts {
  token?: VerifiedToken;
  principal?: Principal | undefined;
  tenantId?: string;
  place?: Place | undefined;
  commandId?: string;
}

type Check = (request: DecisionRequest, context: DecisionContext, facts: Facts) => Refusal | typeof PASS | typeof WAIT;

const PASS = 'pass';
const WAIT = 'wait';

/**
 * The pipeline, in order; the first check that does not pass decides. Each line: what it asks, why here.
 * A request is allowed only behind the last one.
 */
const PUBLIC_CHECKS: readonly Check[] = [
  oneAuthorization, //   two could be read differently by two readers, even where none is needed
  oneTenantHeader, //    likewise
];

const PRINCIPAL_CHECKS: readonly Check[] = [
  oneAuthorization, //   before anything reads it
  someCredentials, //    no token says nothing about tenants: 401 comes before every 400 and 403
  freshAccess, //        without knowledge no token can be told valid, revoked or invalid
  verifiedToken, //      signature and claims; from here on the principal is known
  liveSession, //        a revoked session before the state of its user: sign-out must look the same for all
  enabledPrincipal,
  recentToken, //        global sign-out
  oneTenantHeader, //    also where none is asked for, as for the public
];

const RIGHT_CHECKS: readonly Check[] = [
  ...PRINCIPAL_CHECKS,
  wellFormedTenant, //   sets the tenant
  wellFormedShard, //    may stand for a tenant
  wellFormedResource, // what cannot be read is not compared
  membership, //         before rights: an outsider learns nothing about what exists
  oneMeaning, //         what is asked for must be clear before the right to it is looked for
  right,
  wholeMessage, //       the message was the resource of the right: checked again, whole
  placed, //             last, and only for who may know: places exist for members only
];

const CHECKS = {
  public: PUBLIC_CHECKS,
  principal: PRINCIPAL_CHECKS,
  right: RIGHT_CHECKS,
} as const satisfies Record<EndpointRow['access'], readonly Check[]>;

/** Decides about one request: pure, synchronous. `wait`: only the stamped routing revision is missing. */
export function decide(request: DecisionRequest, context: DecisionContext): Decision {
  const facts: Facts = {};
  for (const check of CHECKS[request.row.access]) {
    const result = check(request, context, facts);
    if (result === PASS) continue;
    if (result === WAIT) return { outcome: 'wait' };
    return deny(result, facts);
  }
  // What a row claims of itself is not taken on trust: who needs a principal or a place has one by now.
  const complete =
    (request.row.access === 'public' || facts.principal !== undefined) &&
    (!isServiceKind(request.row.target) || facts.place !== undefined);
  if (complete) {
    const { principal, tenantId, place, commandId } = facts;
    return { outcome: 'allow', principal, tenantId, place, commandId };
  }
  return deny(UNDECIDED, facts);
}

const deny = (because: Refusal, facts: Facts): Denied => ({
  outcome: 'deny',
  ...because,
  ...(facts.principal === undefined ? {} : { principalId: facts.principal.id }),
  ...(facts.tenantId === undefined ? {} : { tenantId: facts.tenantId }),
});

const UNDECIDED = refusal('routing_unavailable', 'no decision could be made about this request');

const TWO_AUTHORIZATIONS = refusal('request_malformed', 'the authorization header must be there at most once');
function oneAuthorization(request: DecisionRequest) {
  return request.authorizationCount > 1 ? TWO_AUTHORIZATIONS : PASS;
}

const NO_TOKEN = refusal('token_missing', 'send an access token as "authorization: Bearer <token>"');
function someCredentials(request: DecisionRequest) {
  return request.credentials.kind === 'none' ? NO_TOKEN : PASS;
}

const STALE: Refusal = {
  reason: 'storage_unavailable',
  detail: 'who may do what cannot be told right now; try again',
  retryAfterSeconds: 1,
};
function freshAccess(_request: DecisionRequest, context: DecisionContext) {
  return context.accessIsFresh ? PASS : STALE;
}

const BAD_TOKEN = refusal('token_invalid', 'the authorization header does not hold a valid access token');
const EXPIRED = refusal('token_expired', 'the access token has expired; refresh it');
function verifiedToken({ credentials }: DecisionRequest, _context: DecisionContext, facts: Facts) {
  if (credentials.kind !== 'token') return BAD_TOKEN;
  if (!credentials.result.ok) return credentials.result.reason === 'token_expired' ? EXPIRED : BAD_TOKEN;
  facts.token = credentials.result.token;
  return PASS;
}

const REVOKED = refusal('session_revoked', 'the session of this token has ended; sign in again');
function liveSession(_request: DecisionRequest, context: DecisionContext, facts: Facts) {
  return facts.token === undefined || context.access.isSessionRevoked(facts.token.sessionId) ? REVOKED : PASS;
}

const UNKNOWN_PRINCIPAL = refusal('token_invalid', 'the principal of this token does not exist');
const DISABLED = refusal('principal_disabled', 'this account is disabled');
function enabledPrincipal(_request: DecisionRequest, context: DecisionContext, facts: Facts) {
  facts.principal = facts.token && context.access.principal(facts.token.principalId);
  if (facts.principal === undefined) return UNKNOWN_PRINCIPAL;
  return facts.principal.status === 'active' ? PASS : DISABLED;
}

function recentToken(_request: DecisionRequest, _context: DecisionContext, { token, principal }: Facts) {
  if (token === undefined || principal === undefined) return BAD_TOKEN;
  return token.issuedAt < principal.tokensValidAfter ? REVOKED : PASS;
}

const TWO_TENANTS = refusal('tenant_invalid', 'the x-tenant-id header must be there at most once');
function oneTenantHeader(request: DecisionRequest) {
  return request.tenantHeaders.length > 1 ? TWO_TENANTS : PASS;
}

const NO_TENANT = refusal('tenant_missing', 'name the tenant in the x-tenant-id header');
const BAD_TENANT = refusal(
  'tenant_invalid',
  'a tenant id is 1 to 63 of a-z, 0-9, "-" and "_", with a letter or digit at both ends',
);
function wellFormedTenant(request: DecisionRequest, _context: DecisionContext, facts: Facts) {
  if (request.row.tenant === 'ignored') return PASS;
  const tenant = request.tenantHeaders[0];
  const isMissing = request.row.tenant === 'required' && request.namedShard === undefined;
  if (tenant === undefined) return isMissing ? NO_TENANT : PASS;
  if (!isTenantId(tenant)) return BAD_TENANT;
  facts.tenantId = tenant;
  return PASS;
}

function wellFormedShard({ namedShard }: DecisionRequest) {
  return refuseShardName(namedShard) ?? PASS;
}

const BAD_RESOURCE = refusal('request_malformed', 'an escaped part of the path is not UTF-8 text');
function wellFormedResource(request: DecisionRequest) {
  return request.row.resource?.from === 'path' && request.pathResource === undefined ? BAD_RESOURCE : PASS;
}

const NOT_A_MEMBER = refusal('tenant_forbidden', 'you have no access to this tenant');
function membership(request: DecisionRequest, { access }: DecisionContext, { principal, tenantId }: Facts) {
  if (principal === undefined) return NOT_A_MEMBER;
  // The API's own endpoints also serve operators; the right itself is asked for next.
  // So do those of a named shard, whatever the tenant: nobody else gets there.
  if (request.row.tenant !== 'required' || request.namedShard !== undefined) return PASS;
  if (tenantId === undefined) return NO_TENANT;
  if (access.isMember(principal.id, tenantId)) return PASS;
  return isGranted(request, access, { principalId: principal.id, tenantId: null }) ? PASS : NOT_A_MEMBER;
}

function oneMeaning({ message, pathFields }: DecisionRequest): Refusal | typeof PASS {
  const errors = pathFields === undefined ? [] : mismatches(message, pathFields);
  if (errors.length === 0) return PASS;
  return { reason: 'validation_failed', detail: 'the command says something else than its path', errors };
}

const NO_RIGHT = refusal('right_missing', 'none of your roles allows this');
const NOT_ON_PLATFORM = refusal('right_missing', 'only who may do this on the whole platform names a shard');
function right(request: DecisionRequest, { access }: DecisionContext, { principal, tenantId }: Facts) {
  if (principal === undefined) return NO_RIGHT;
  const principalId = principal.id;
  const isNamed = request.namedShard !== undefined;
  // A shard serves many tenants: a right in one of them is none there.
  if (!isNamed && tenantId !== undefined && isGranted(request, access, { principalId, tenantId })) return PASS;
  if (isGranted(request, access, { principalId, tenantId: null })) return PASS;
  return isNamed ? NOT_ON_PLATFORM : NO_RIGHT;
}

/** Whether the roles held there cover the row's action on the request's resource. */
function isGranted(
  request: DecisionRequest,
  access: AccessView,
  where: { readonly principalId: string; readonly tenantId: string | null },
): boolean {
  const { action, resource } = request.row;
  if (action === undefined) return false;
  return holdsRight(access, where, action, resource === undefined ? '*' : resourceOf(request));
}

/** Undefined where a message does not name exactly one resource: `wholeMessage` refuses that after the right. */
function resourceOf(request: DecisionRequest): string | undefined {
  if (request.row.resource?.from === 'path') return request.pathResource;
  return soleValue(request.message.aggregate_type);
}

const NO_HEADERS: CommandIdHeaders = [];
function wholeMessage(request: DecisionRequest, _context: DecisionContext, facts: Facts): Refusal | typeof PASS {
  if (request.row.resource?.from !== 'message') return PASS;
  const id = commandIdOf(request.message.command_id, request.commandIdHeaders ?? NO_HEADERS);
  const errors = omissions(request.message, typeof id === 'string' ? undefined : id);
  if (typeof id === 'string') facts.commandId = id;
  if (errors.length === 0) return PASS;
  return { reason: 'validation_failed', detail: 'the command does not name all that it must', errors };
}

function placed({ row, namedShard }: DecisionRequest, { routing }: DecisionContext, facts: Facts) {
  if (!isServiceKind(row.target)) return PASS;
  const found = placeRequest({ kind: row.target, namedShard, tenantId: facts.tenantId }, routing);
  if (found === WAIT || 'reason' in found) return found;
  facts.place = found;
  return PASS;
}
