import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from '#domain/access/decide.ts';
import { BUILT_IN_ROLES } from '#domain/access/roles.ts';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { judge, type Question, type World } from '../../support/access-oracle.ts';
import { answerOf, indexOf, questionOf, rowOf } from '../../support/access-world.ts';

const BUILT_IN = Object.fromEntries(
  BUILT_IN_ROLES.map((role) => [role.id, role.rights.map(({ action, resource }) => `${action} on ${resource}`)]),
);
const users = ['usr_a', 'usr_b'];
const tenants = ['acme', 'globex'];
const right = fc
  .tuple(
    fc.constantFrom('command.submit', 'query.read', 'query.*', 'iam.*', 'routing.read', '*', 'runner.admin', 'q*'),
    fc.constantFrom('*', 'order', 'ord*', 'invoice', 'x*'),
  )
  .map(([action, resource]) => `${action} on ${resource}`);
const customRoles = fc.dictionary(fc.constantFrom('custom-1', 'custom-2'), fc.array(right, { maxLength: 3 }));
const assignment = fc.oneof(
  fc.record({
    user: fc.constantFrom(...users),
    tenant: fc.constantFrom(...tenants),
    role: fc.constantFrom('tenant-member', 'tenant-admin', 'custom-1', 'custom-2', 'gone'),
  }),
  fc.record({ user: fc.constantFrom(...users), tenant: fc.constant(null), role: fc.constant('platform-admin') }),
);
const placed = fc.dictionary(fc.constantFrom('aggregate', 'projection', 'runner'), fc.constantFrom('s1', 's2'), {
  minKeys: 1,
});
const worlds: fc.Arbitrary<World> = fc.record({
  users: fc.uniqueArray(
    fc.record({
      id: fc.constantFrom(...users),
      disabled: fc.constantFrom(false, false, false, true),
      tokensValidAfter: fc.constantFrom(0, 0, 100),
    }),
    { selector: ({ id }) => id, minLength: 1, maxLength: 2 },
  ),
  roles: customRoles.map((custom) => ({ ...custom, ...BUILT_IN })),
  assignments: fc.array(assignment, { maxLength: 8 }),
  revokedSessions: fc.subarray(['ses_1']),
  placements: fc.record({ acme: placed, globex: placed }),
  shards: fc.record({
    runner: fc.subarray(['s1', 's2', 's3']),
    projection: fc.constant(['s4']),
  }),
});
const field = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('order', 'invoice').map((value) => [value]) },
  fc.array(fc.constantFrom('order', 'invoice', ''), { maxLength: 2 }),
);
const token = fc.record({
  user: fc.constantFrom(...users),
  session: fc.constantFrom('ses_1', 'ses_2', 'ses_2'),
  issuedAt: fc.constantFrom(99, 100, 101),
  state: fc.constantFrom('good', 'good', 'good', 'good', 'invalid', 'expired'),
});
const idHeader = fc.constantFrom('order', 'invoice', 'order', 'not an id', '', null);
const asked = fc.record({
  row: fc.oneof(
    fc.constantFrom(rowOf('command.submit'), rowOf('query.read'), rowOf('runner.post')),
    fc.constantFrom(...ENDPOINTS.filter(({ target }) => target !== 'envoy')),
  ),
  token: fc.option(token, { nil: undefined, freq: 8 }),
  tenants: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...tenants).map((tenant) => [tenant]) },
    fc.array(fc.constantFrom(...tenants, 'A', '', '-x'), { maxLength: 2 }),
  ),
  resource: fc.constantFrom('order', 'invoice', 'xyz'),
  message: fc.record({ aggregate_type: field, aggregate_id: field, command_id: field }),
  shards: fc.oneof(
    { weight: 2, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary: fc.constantFrom('s1', 's3', 's4').map((name) => [name]) },
    fc.constantFrom([''], ['S1'], ['s1', 's1'], ['runner/s1']),
  ),
  ids: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(idHeader, { maxLength: 2 })),
});

describe('decisions', () => {
  it('are those of the slow, obvious engine in whatever world', () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(worlds, asked, (world, { row, ...rest }) => {
        const question = questionOf(row, rest);
        const expected = judge(world, question);
        seen.set(expected, (seen.get(expected) ?? 0) + 1);
        expect(answerOf(world, row, question)).toBe(expected);
      }),
      { numRuns: 6_000 },
    );
    // A test that never meets an outcome says nothing about it.
    for (const outcome of [
      'allow api',
      'allow aggregate/s1',
      'allow projection/s2',
      // Where nobody is placed: only its name leads there.
      'allow runner/s3',
      'not_found',
      'tenant_forbidden',
      'right_missing',
      'tenant_unplaced',
      'validation_failed',
      'principal_disabled',
      'session_revoked',
      'tenant_invalid',
      'tenant_missing',
    ]) {
      expect(seen.get(outcome) ?? 0, outcome).toBeGreaterThan(0);
    }
  });

  it('never allow more when an assignment, a user, a placement or the token is taken away', () => {
    fc.assert(
      fc.property(worlds, asked, (world, { row, ...rest }) => {
        const question = questionOf(row, rest);
        fc.pre(row.access !== 'public' && !answerOf(world, row, question).startsWith('allow'));
        const smaller: readonly World[] = [
          ...world.assignments.map((_, gone) => ({
            ...world,
            assignments: world.assignments.filter((__, at) => at !== gone),
          })),
          { ...world, users: world.users.slice(1) },
          { ...world, placements: {} },
          { ...world, shards: {} },
        ];
        for (const less of smaller) expect(answerOf(less, row, question)).not.toMatch(/^allow/);
        const { token: _token, ...anonymous } = question;
        expect(answerOf(world, row, anonymous)).not.toMatch(/^allow/);
      }),
      { numRuns: 1_500 },
    );
  });

  it('never let a shard be named by what is held in a tenant, whatever is held there', () => {
    fc.assert(
      fc.property(worlds, asked, fc.constantFrom('s1', 's2', 's3'), (world, { row: _row, ...rest }, shard) => {
        const row = rowOf('runner.get');
        const inTenants = { ...world, assignments: world.assignments.filter(({ tenant }) => tenant !== null) };
        expect(answerOf(inTenants, row, questionOf(row, { ...rest, shards: [shard] }))).not.toMatch(/^allow|not_found/);
      }),
      { numRuns: 1_500 },
    );
  });

  it('give one answer for a tenant that is not yours and one that does not exist', () => {
    const world: World = {
      users: [{ id: 'usr_a' }],
      roles: BUILT_IN,
      assignments: [],
      revokedSessions: [],
      placements: { acme: { projection: 's1' } },
    };
    const ask = (tenant: string) => {
      const question: Question = questionOf(rowOf('query.read'), {
        tenants: [tenant],
        token: { user: 'usr_a', session: 'ses_2', issuedAt: 1, state: 'good' },
        resource: 'order',
      });
      return answerOf(world, rowOf('query.read'), question);
    };
    expect([ask('acme'), ask('nope')]).toEqual(['tenant_forbidden', 'tenant_forbidden']);
  });

  it('deny a row that claims to serve a shard to anybody, or to ask for a right without naming one', () => {
    const world: World = {
      users: [{ id: 'usr_a' }],
      roles: BUILT_IN,
      assignments: [],
      revokedSessions: [],
      placements: {},
    };
    const base = {
      authorizationCount: 0,
      tenantHeaders: ['acme'],
      credentials: { kind: 'none' },
      pathResource: 'order',
      message: { aggregate_type: [], aggregate_id: [], command_id: [] },
    } as const;
    const context = { access: indexOf(world), accessIsFresh: true, routing: { state: 'absent' } } as const;
    const open = { ...rowOf('query.read'), access: 'public' as const };
    expect(decide({ ...base, row: open }, context)).toMatchObject({ outcome: 'deny', reason: 'routing_unavailable' });
    const { action: _action, ...actionless } = rowOf('routing.get');
    const result = {
      ok: true,
      token: { principalId: 'usr_a', sessionId: 's', tokenId: 'j', clientId: 'gateway', issuedAt: 1, expiresAt: 2 },
    } as const;
    expect(decide({ ...base, row: actionless, credentials: { kind: 'token', result } }, context)).toMatchObject({
      outcome: 'deny',
      reason: 'right_missing',
    });
  });
});
