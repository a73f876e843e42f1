import { describe, expect, it } from 'vitest';
import type { Allowed, Denied } from '#domain/access/decide.ts';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { createMetrics } from '#platform/metrics.ts';
import type { ReplicaState } from '#ports/replica-board.ts';
import { openRates } from '../../../src/authz/compose/rates.ts';
import { createRateGuard, type RateLimits } from '../../../src/authz/ext-authz/rate-guard.ts';
import { LateText } from '../../../src/authz/ext-authz/wire/late-text.ts';
import { ProtobufReader } from '../../../src/authz/ext-authz/wire/protobuf-reader.ts';
import { bearer, checkFixture, checkJson, decodeAnswer, encodeCheck } from '../../support/check-fixture.ts';

const OFF: RateLimits = { principal: undefined, tenant: undefined, address: undefined, credentials: undefined };
const TWO = { requests: 2, windowMs: 4_000 } as const;

const REPLICA: ReplicaState = { role: 'authz', replica: 'a', routingRevision: 1, seenAtMs: 0 };

const rowOf = (id: string) => {
  const row = ENDPOINTS.find((candidate) => candidate.id === id);
  if (row === undefined) throw new Error(id);
  return row;
};

/** A text as the scanner hands it on. */
function late(text: string): LateText {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new ProtobufReader();
  reader.begin(Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes]));
  reader.next();
  reader.spanBytes();
  const found = new LateText(reader);
  found.take();
  return found;
}

const allowed = (principalId: string | undefined, tenantId?: string): Allowed => ({
  outcome: 'allow',
  principal:
    principalId === undefined ? undefined : { id: principalId, kind: 'user', status: 'active', tokensValidAfter: 0 },
  tenantId,
  place: undefined,
  commandId: undefined,
});
const denied = (principalId?: string, tenantId?: string): Denied => ({
  outcome: 'deny',
  reason: 'right_missing',
  detail: 'none of your roles allows this',
  ...(principalId === undefined ? {} : { principalId }),
  ...(tenantId === undefined ? {} : { tenantId }),
});

function guardWith(limits: Partial<RateLimits>) {
  const metrics = createMetrics('test');
  const state = { sharers: 1, nowMs: 0 };
  const guard = createRateGuard({ limits: { ...OFF, ...limits }, sharers: () => state.sharers, metrics });
  /** The limit that refuses, or undefined. */
  const refusedBy = (decision: Allowed | Denied, row = 'query.read', source = '192.0.2.1') => {
    const verdict = guard.charge(decision, { row: rowOf(row), source: late(source), nowMs: state.nowMs });
    return verdict?.refused === undefined ? undefined : /^"(\w+)"/.exec(verdict.fields[0]?.[1] ?? '')?.[1];
  };
  const times = (count: number, ask: () => string | undefined) => Array.from({ length: count }, ask);
  return { guard, metrics, state, refusedBy, times };
}

describe('who pays for a request', () => {
  it('a principal, wherever it goes and whatever it is told', () => {
    const { refusedBy } = guardWith({ principal: TWO });
    expect(refusedBy(allowed('usr_a', 'acme'))).toBeUndefined();
    expect(refusedBy(denied('usr_a'), 'routing.get')).toBeUndefined();
    expect(refusedBy(allowed('usr_a'), 'auth.me')).toBe('principal');
    expect(refusedBy(denied('usr_a'))).toBe('principal');
    expect(refusedBy(allowed('usr_b', 'acme'))).toBeUndefined();
  });

  it('a tenant for what is allowed only, and not for what its principal may not send any more', () => {
    const { refusedBy, times } = guardWith({ tenant: TWO, principal: { requests: 3, windowMs: 1_000 } });
    expect(times(3, () => refusedBy(denied('usr_outsider', 'acme')))).toEqual(times(3, () => undefined));
    expect(refusedBy(allowed('usr_outsider', 'acme'))).toBe('principal');
    expect(times(3, () => refusedBy(allowed('usr_a', 'acme')))).toEqual([undefined, undefined, 'tenant']);
    expect(refusedBy(allowed('usr_b', 'acme'))).toBe('tenant');
    expect(refusedBy(allowed('usr_b', 'globex'))).toBeUndefined();
  });

  it('an address for public endpoints, apart for those that cost, and not for denials', () => {
    const { refusedBy, times } = guardWith({ address: TWO, credentials: TWO });
    expect(times(5, () => refusedBy(denied()))).toEqual(times(5, () => undefined));
    expect(times(3, () => refusedBy(allowed(undefined), 'jwks'))).toEqual([undefined, undefined, 'address']);
    expect(times(3, () => refusedBy(allowed(undefined), 'auth.signin'))).toEqual([undefined, undefined, 'credentials']);
    expect(refusedBy(allowed(undefined), 'auth.signup')).toBe('credentials');
    expect(refusedBy(allowed(undefined), 'auth.signup', '192.0.2.2')).toBeUndefined();
  });

  it('a whole /64 as one', () => {
    const { refusedBy } = guardWith({ credentials: TWO });
    const ask = (source: string) => refusedBy(allowed(undefined), 'auth.signin', source);
    expect([ask('2001:db8::1'), ask('2001:db8:0:0:ffff::2'), ask('2001:db8::3')]).toEqual([
      undefined,
      undefined,
      'credentials',
    ]);
    expect(ask('2001:db8:0:1::1')).toBeUndefined();
  });

  it('every endpoint that costs a hash or tries a secret is among those that are guarded', () => {
    const writes = ENDPOINTS.filter((row) => row.access === 'public' && row.method !== 'GET');
    const unguarded = writes.filter((row) => row.guards !== 'credentials').map((row) => row.id);
    // They take secrets of 256 random bits, which nobody guesses, and hash nothing.
    expect(unguarded).toEqual(['auth.verify_email', 'auth.refresh']);
  });

  it('nobody where there is no limit', () => {
    const { refusedBy, times } = guardWith({});
    expect(times(100, () => refusedBy(allowed('usr_a', 'acme')))).toEqual(times(100, () => undefined));
    expect(times(100, () => refusedBy(allowed(undefined), 'jwks'))).toEqual(times(100, () => undefined));
  });
});

describe('what is said of a limit', () => {
  it('nothing while there is plenty, then what is left, then when to come again', () => {
    const { guard, state } = guardWith({ principal: { requests: 4, windowMs: 10_000 } });
    const ask = () => guard.charge(allowed('usr_a'), { row: rowOf('auth.me'), source: late(''), nowMs: state.nowMs });
    expect(ask()).toBeUndefined();
    expect(ask()).toBeUndefined();
    expect(ask()?.fields).toEqual([
      ['ratelimit-policy', '"principal";q=4;w=10'],
      ['ratelimit', '"principal";r=1;t=8'],
    ]);
    expect(ask()?.fields[1]).toEqual(['ratelimit', '"principal";r=0;t=10']);
    const refused = ask();
    expect(refused?.refused).toMatchObject({
      outcome: 'deny',
      reason: 'rate_limited',
      retryAfterSeconds: 3,
      principalId: 'usr_a',
    });
    expect(refused?.fields[1]).toEqual(['ratelimit', '"principal";r=0;t=3']);
    state.nowMs = 2_500;
    expect(ask()?.refused).toBeUndefined();
  });

  it('is the limit of all replicas, of which each grants its part', () => {
    const { refusedBy, times, state, guard } = guardWith({ principal: { requests: 4, windowMs: 10_000 } });
    state.sharers = 2;
    expect(times(3, () => refusedBy(allowed('usr_a')))).toEqual([undefined, undefined, 'principal']);
    const told = guard.charge(allowed('usr_a'), { row: rowOf('auth.me'), source: late(''), nowMs: 0 });
    expect(told?.fields[0]).toEqual(['ratelimit-policy', '"principal";q=4;w=10']);
  });

  it('is shared by as many as the board knows to be alive', async () => {
    const [listeners, live] = [new Set<() => void>(), [REPLICA]];
    const board = {
      live: () => live,
      onChange: (listener: () => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
    const stack = new AsyncDisposableStack();
    const rateLimits = { ...OFF, principal: { requests: 6, windowMs: 60_000 } };
    const guard = openRates({ rateLimits }, createMetrics('test'), board, stack);
    const through = (principalId: string) => {
      let count = 0;
      const request = { row: rowOf('auth.me'), source: late(''), nowMs: 0 };
      while (guard.charge(allowed(principalId), request)?.refused === undefined) count += 1;
      return count;
    };
    expect(through('usr_a')).toBe(6);
    live.push({ ...REPLICA, replica: 'b' }, { ...REPLICA, replica: 'c' });
    for (const listener of listeners) listener();
    expect(through('usr_b')).toBe(2);
    live.length = 0;
    for (const listener of listeners) listener();
    expect(through('usr_c')).toBe(6);
    await stack.disposeAsync();
    expect(listeners.size).toBe(0);
  });

  it('is counted by kind', async () => {
    const { refusedBy, times, metrics } = guardWith({ principal: TWO });
    times(5, () => refusedBy(allowed('usr_a')));
    expect(await metrics.registry.metrics()).toContain(
      'gateway_authz_rate_limited_total{limit="principal",service="test"} 3',
    );
  });
});

describe('the check', () => {
  const ask = (fixture: ReturnType<typeof checkFixture>, request: Parameters<typeof checkJson>[0]) => {
    const result = fixture.check.check(encodeCheck(checkJson(request)));
    if (result.kind !== 'answer') throw new Error('a wait');
    return JSON.parse(JSON.stringify(decodeAnswer(result.bytes)));
  };
  const query = (fixture: ReturnType<typeof checkFixture>, tenant = 'acme') => ({
    headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', tenant] as const],
  });

  it('refuses with all that a client needs, and says so in the log and to the access log', () => {
    const fixture = checkFixture({ rateLimits: { ...OFF, principal: { requests: 2, windowMs: 60_000 } } });
    ask(fixture, query(fixture));
    const last = ask(fixture, query(fixture));
    expect(last.ok_response.response_headers_to_add).toEqual(
      [
        ['ratelimit-policy', '"principal";q=2;w=60'],
        ['ratelimit', '"principal";r=0;t=60'],
      ].map(([key, value]) => ({ header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })),
    );
    const refused = ask(fixture, query(fixture));
    expect(refused.denied_response.status.code).toBe('TooManyRequests');
    const headers = Object.fromEntries(
      refused.denied_response.headers.map(({ header }: { header: { key: string; value: string } }) => [
        header.key,
        header.value,
      ]),
    );
    expect(headers).toMatchObject({
      'retry-after': '30',
      'x-gateway-error': 'rate_limited',
      'ratelimit-policy': '"principal";q=2;w=60',
      ratelimit: '"principal";r=0;t=30',
    });
    expect(refused.dynamic_metadata).toMatchObject({ outcome: 'deny', reason: 'rate_limited' });
    expect(fixture.denials.at(-1)).toMatchObject({
      reason: 'rate_limited',
      principalId: 'usr_member',
      tenantId: 'acme',
      detail: 'you send more requests than one principal may; try again later',
    });
  });

  it('charges a request that waits for its revision once', () => {
    const fixture = checkFixture({ rateLimits: { ...OFF, principal: { requests: 1, windowMs: 60_000 } } });
    const ahead = { ...query(fixture), extensions: { stamp: '9', target: 'projection' } };
    expect(fixture.check.check(encodeCheck(checkJson(ahead))).kind).toBe('wait');
    expect(fixture.check.check(encodeCheck(checkJson(ahead))).kind).toBe('wait');
    expect(ask(fixture, query(fixture)).ok_response).toBeDefined();
    expect(ask(fixture, query(fixture)).denied_response).toBeDefined();
  });
});
