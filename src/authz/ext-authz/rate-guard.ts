import { clientOf } from '#domain/access/client-address.ts';
import type { Allowed, Denied } from '#domain/access/decide.ts';
import { fullAfterMs, type Moment, type RateLimit, remaining } from '#domain/access/rate-limit.ts';
import { RateTable } from '#domain/access/rate-table.ts';
import type { EndpointRow } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Metrics } from '#platform/metrics.ts';
import type { LateText } from './wire/late-text.ts';
import type { Pair } from './wire/write-check-response.ts';

/**
 * Who is limited: a principal, a tenant over all its principals, and the addresses that public endpoints are called
 * from, with a limit of their own for those that cost a hash or try a secret.
 */
type RateKind = 'principal' | 'tenant' | 'address' | 'credentials';

/** The limit of each kind; undefined: there is none. */
export type RateLimits = { readonly [Kind in RateKind]: RateLimit | undefined };

/** What a limit makes of an answer: a refusal in its place, or only fields that tell the caller where it stands. */
interface RateVerdict {
  readonly refused: Denied | undefined;
  readonly fields: readonly Pair[];
}

export interface RateGuard {
  /** @param nowMs of a monotonic clock. Undefined: nothing to refuse, nothing to tell. */
  charge(decision: Allowed | Denied, request: RateRequest): RateVerdict | undefined;
}

interface RateRequest {
  readonly row: EndpointRow;
  readonly source: LateText;
  readonly nowMs: number;
}

const DETAILS: Readonly<Record<RateKind, string>> = {
  principal: 'you send more requests than one principal may; try again later',
  tenant: 'this tenant gets more requests than it may; try again later',
  address: 'more requests come from your address than may; try again later',
  credentials: 'more attempts to sign in or up come from your address than may; try again later',
};

interface Guarded {
  readonly kind: RateKind;
  readonly limit: RateLimit;
  readonly table: RateTable;
  /** Value of `RateLimit-Policy`. */
  readonly policy: string;
  readonly refused: { inc(): void };
  readonly shared: { inc(): void };
}

/**
 * The request limits of one replica, which grants its part of them; from memory, with one look into a map per limit.
 *
 * - A known principal pays for every request, also for a denied one: a denial costs as much and is logged besides. Only
 *   when it has nothing left is it told so in place of the decision.
 * - A tenant pays for allowed requests only: else a stranger could use up a tenant by naming it.
 * - Callers of public endpoints pay by their address. Who sends a token that is not valid pays nothing: the address may
 *   be that of many, and nobody must be able to lock them out of signing in by sending nonsense.
 *
 * The fields are those of draft-ietf-httpapi-ratelimit-headers-10: on refusals, and on other answers once less than half
 * is left. They name the limit that all replicas keep together.
 */
export function createRateGuard(options: {
  readonly limits: RateLimits;
  /** The replicas that share the limits, this one included; cheap. */
  readonly sharers: () => number;
  readonly metrics: Metrics;
  readonly random?: () => number;
}): RateGuard {
  const { limits, metrics, random = Math.random } = options;
  const refusedTotal = metrics.counter('gateway_authz_rate_limited_total', 'Requests refused by a limit.', ['limit']);
  const sharedTotal = metrics.counter(
    'gateway_authz_rate_shared_total',
    'Requests of callers without a bucket of their own, because the table of their kind is full.',
    ['limit'],
  );
  function guard(kind: RateKind, limit: RateLimit | undefined): Guarded | undefined {
    if (limit === undefined) return undefined;
    const table = new RateTable({
      limit,
      maxCount: LIMITS.rateBucketsMaxCount,
      sharedCount: LIMITS.rateSharedBucketsCount,
      seed: Math.floor(random() * 0x1_0000_0000),
    });
    const policy = `"${kind}";q=${limit.requests};w=${limit.windowMs / 1_000}`;
    return { kind, limit, table, policy, refused: refusedTotal.labels(kind), shared: sharedTotal.labels(kind) };
  }

  // Written anew for each request: a decision is made at a time.
  const moment = { nowMs: 0, sharers: 1 };
  const principals = guard('principal', limits.principal);
  const tenants = guard('tenant', limits.tenant);
  const addresses = guard('address', limits.address);
  const credentials = guard('credentials', limits.credentials);

  return {
    charge: (decision, { row, source, nowMs }) => {
      moment.nowMs = Math.floor(nowMs);
      moment.sharers = options.sharers();
      const isAllowed = decision.outcome === 'allow';
      const principalId = isAllowed ? decision.principal?.id : decision.principalId;
      if (principalId === undefined) {
        if (!isAllowed) return undefined;
        const by = row.guards === 'credentials' ? credentials : addresses;
        return by === undefined ? undefined : charge(by, clientOf(source.read()), moment, decision);
      }
      const verdict = principals === undefined ? undefined : charge(principals, principalId, moment, decision);
      if (verdict?.refused !== undefined || !isAllowed) return verdict;
      const { tenantId } = decision;
      if (tenants === undefined || tenantId === undefined) return verdict;
      // The narrower one is told where both are near: whoever calls can change that one.
      const ofTenant = charge(tenants, tenantId, moment, decision);
      return ofTenant?.refused === undefined ? (verdict ?? ofTenant) : ofTenant;
    },
  };
}

function charge(by: Guarded, key: string, moment: Moment, decision: Allowed | Denied): RateVerdict | undefined {
  const { table, limit } = by;
  const waitMs = table.take(key, moment);
  if (table.lastIsShared) by.shared.inc();
  if (waitMs > 0) {
    by.refused.inc();
    const seconds = Math.ceil(waitMs / 1_000);
    return { refused: refusalOf(by.kind, decision, seconds), fields: fieldsOf(by, 0, seconds) };
  }
  const left = remaining(table.last, limit);
  if (left * 2 >= limit.requests) return undefined;
  return { refused: undefined, fields: fieldsOf(by, left, Math.ceil(fullAfterMs(table.last, limit, moment) / 1_000)) };
}

const fieldsOf = ({ kind, policy }: Guarded, left: number, seconds: number): readonly Pair[] => [
  ['ratelimit-policy', policy],
  ['ratelimit', `"${kind}";r=${left};t=${seconds}`],
];

function refusalOf(kind: RateKind, decision: Allowed | Denied, seconds: number): Denied {
  const principalId = decision.outcome === 'allow' ? decision.principal?.id : decision.principalId;
  const { tenantId } = decision;
  return {
    outcome: 'deny',
    reason: 'rate_limited',
    detail: DETAILS[kind],
    retryAfterSeconds: seconds,
    ...(principalId === undefined ? {} : { principalId }),
    ...(tenantId === undefined ? {} : { tenantId }),
  };
}
