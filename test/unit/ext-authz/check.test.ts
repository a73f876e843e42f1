import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { iamKey } from '#domain/identity/records.ts';
import {
  assignmentRecord,
  at,
  bearer,
  COMMAND,
  checkFixture,
  checkJson,
  decodeAnswer,
  encodeCheck,
  snapshotOf,
  type TestRequest,
  userRecord,
} from '../../support/check-fixture.ts';

interface Answer {
  readonly status: { readonly code?: number };
  readonly ok_response?: { readonly headers: readonly Option[]; readonly headers_to_remove?: readonly string[] };
  readonly denied_response?: { readonly status: { code: string }; readonly headers: readonly Option[]; body: string };
  readonly dynamic_metadata: Readonly<Record<string, string>>;
}
interface Option {
  readonly header: { readonly key: string; readonly value: string };
  readonly append_action: string;
}

const isAnswer = (value: unknown): value is Answer => typeof value === 'object' && value !== null && 'status' in value;

function read(bytes: Uint8Array): Answer {
  const json = decodeAnswer(bytes);
  if (!isAnswer(json)) throw new Error('no CheckResponse');
  return json;
}

const headersOf = (options: readonly Option[] = []) =>
  Object.fromEntries(options.map(({ header }) => [header.key, header.value]));

const SHARD = { endpoints: [], protocol: 'http1' } as const;

function ask(fixture: ReturnType<typeof checkFixture>, request: TestRequest) {
  const result = fixture.check.check(encodeCheck(checkJson(request)));
  if (result.kind === 'wait') throw new Error(`waits for ${result.revision}`);
  const answer = read(result.bytes);
  const body = answer.denied_response?.body ?? '';
  const problem: JsonObject = body.startsWith('{') ? JSON.parse(body) : {};
  return {
    answer,
    problem,
    denied: headersOf(answer.denied_response?.headers),
    ok: headersOf(answer.ok_response?.headers),
  };
}

describe('an allowed request', () => {
  it('goes to the shard of its tenant with the identity the gateway found', () => {
    const fixture = checkFixture();
    const { answer, ok } = ask(fixture, {
      headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme']],
    });
    expect(answer.status.code ?? 0).toBe(0);
    expect(ok).toEqual({
      'x-gateway-cluster': 'projection/s1',
      'x-tenant-id': 'acme',
      'x-principal-id': 'usr_member',
      'x-principal-kind': 'user',
      'x-decision-id': expect.stringMatching(/^dec_[a-z2-7]{26}$/),
      'x-placement-epoch': '7',
    });
    expect(new Set(answer.ok_response?.headers.map((option) => option.append_action))).toEqual(
      new Set(['OVERWRITE_IF_EXISTS_OR_ADD']),
    );
    expect(answer.ok_response?.headers_to_remove).toEqual([
      ...['authorization', 'cookie', 'x-runner-shard', 'x-command-id'],
    ]);
    expect(answer.dynamic_metadata).toEqual({
      decision_id: ok['x-decision-id'],
      outcome: 'allow',
      reason: 'allowed',
      principal_id: 'usr_member',
      tenant_id: 'acme',
      revision: '7',
      cluster: 'projection/s1',
    });
    expect(fixture.denials).toEqual([]);
  });

  it('is a command when the message names all it must', () => {
    const fixture = checkFixture();
    const { ok } = ask(fixture, {
      ...COMMAND,
      headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme'], ['content-type', 'application/grpc']],
    });
    expect(ok['x-gateway-cluster']).toBe('aggregate/s1');
    expect(ok['x-placement-epoch']).toBe('3');
    expect(ok['x-command-id']).toBe('c1');
    // Envoy has read that one out of the message itself.
    expect(ok).not.toHaveProperty('x-gateway-command-id');
  });

  it.each(['x-command-id', 'idempotency-key'])('is a command with the id of the header %s', (name) => {
    const fixture = checkFixture();
    const { answer, ok } = ask(fixture, {
      ...COMMAND,
      fields: { aggregate_type: ['order'], aggregate_id: ['42'], command_id: [''] },
      headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme'], [name, 'key:1']],
    });
    expect(ok).toMatchObject({ 'x-command-id': 'key:1', 'x-gateway-command-id': '["key:1"]' });
    expect(answer.ok_response?.headers_to_remove).toEqual(['authorization', 'cookie', 'x-runner-shard']);
  });

  it('goes to the runner shard that a platform admin names, with the tenant if one is named, and with no epoch', () => {
    const fixture = checkFixture();
    const shards = { aggregate: new Map(), projection: new Map(), runner: new Map([['s2', SHARD]]) };
    fixture.source.push({ ...snapshotOf(8, { acme: { runner: at('s1', 3) } }), shards });
    const ask8 = (user: string, headers: readonly (readonly [string, string])[]) =>
      ask(fixture, {
        path: '/admin/runner/pause',
        extensions: { stamp: '8', target: 'runner' },
        headers: [bearer(fixture.tokenOf(user)), ...headers],
      });
    const named = ask8('usr_admin', [['x-runner-shard', 's2']]);
    expect(named.ok).toEqual({
      'x-gateway-cluster': 'runner/s2',
      'x-principal-id': 'usr_admin',
      'x-principal-kind': 'user',
      'x-decision-id': expect.any(String),
    });
    expect(named.answer.ok_response?.headers_to_remove).toEqual([
      ...['authorization', 'cookie', 'x-runner-shard', 'x-command-id', 'x-placement-epoch'],
    ]);
    expect(named.answer.dynamic_metadata).toMatchObject({ cluster: 'runner/s2', revision: '8' });
    const both = ask8('usr_admin', [
      ['x-runner-shard', 's2'],
      ['x-tenant-id', 'acme'],
    ]);
    expect(both.ok).toMatchObject({ 'x-gateway-cluster': 'runner/s2', 'x-tenant-id': 'acme' });
    expect(both.ok).not.toHaveProperty('x-placement-epoch');
    expect(ask8('usr_admin', [['x-tenant-id', 'acme']]).ok).toMatchObject({
      'x-gateway-cluster': 'runner/s1',
      'x-placement-epoch': '3',
    });
    expect(ask8('usr_admin', [['x-runner-shard', 's1']]).problem).toMatchObject({ code: 'not_found' });
    for (const headers of [[['x-runner-shard', 'runner/s2']], [...Array(2).fill(['x-runner-shard', 's2'])]] as const) {
      expect(ask8('usr_admin', headers).problem).toMatchObject({
        code: 'validation_failed',
        errors: [{ pointer: '/headers/x-runner-shard', code: 'pattern' }],
      });
    }
    expect(ask8('usr_member', [['x-runner-shard', 's2']]).problem).toMatchObject({ code: 'right_missing' });
  });

  it('reads headers from the plain map as well as from the raw one', () => {
    const fixture = checkFixture();
    const headers = [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme']] as const;
    expect(ask(fixture, { headers, raw: false }).ok['x-gateway-cluster']).toBe('projection/s1');
  });

  it("is anybody's at a public endpoint, and takes no identity along", () => {
    const { ok, answer } = ask(checkFixture(), {
      method: 'GET',
      path: '/.well-known/jwks.json?x=//..',
      extensions: { stamp: '0', target: 'api' },
      headers: [
        ['authorization', 'Bearer rubbish'],
        ['x-tenant-id', 'NOT A TENANT'],
      ],
    });
    expect(ok).toEqual({ 'x-gateway-cluster': 'api', 'x-decision-id': expect.any(String) });
    expect(answer.ok_response?.headers_to_remove).toEqual([
      'x-placement-epoch',
      'x-tenant-id',
      'x-principal-id',
      'x-principal-kind',
    ]);
  });

  it('keeps its credentials on the way to the API, which reads them again', () => {
    const fixture = checkFixture();
    const { ok, answer } = ask(fixture, {
      method: 'GET',
      path: '/admin/routing',
      extensions: { stamp: '7', target: 'api' },
      headers: [bearer(fixture.tokenOf('usr_admin'))],
    });
    expect(ok['x-gateway-cluster']).toBe('api');
    expect(ok['x-principal-id']).toBe('usr_admin');
    expect(answer.ok_response?.headers_to_remove).toEqual(['x-placement-epoch', 'x-tenant-id']);
  });
});

const QUERY = { extensions: { stamp: '7', target: 'projection' } } as const;

describe('a denied request', () => {
  it.each<readonly [string, (tokens: Tokens) => TestRequest, number, string]>([
    ['no token', () => ({ headers: [['x-tenant-id', 'acme']] }), 401, 'token_missing'],
    ['another scheme', () => ({ headers: [['authorization', 'Basic YTpi']] }), 401, 'token_invalid'],
    ['no tenant', (t) => ({ headers: [bearer(t.member)] }), 400, 'tenant_missing'],
    ['a bad tenant', (t) => ({ headers: [bearer(t.member), ['x-tenant-id', 'A']] }), 400, 'tenant_invalid'],
    [
      'two tenants',
      (t) => ({ headers: [bearer(t.member), ['x-tenant-id', 'acme'], ['x-tenant-id', 'acme']] }),
      400,
      'tenant_invalid',
    ],
    [
      'two tokens',
      (t) => ({ headers: [bearer(t.member), bearer(t.member), ['x-tenant-id', 'acme']] }),
      400,
      'request_malformed',
    ],
    [
      'two tokens that Envoy made one header of',
      (t) => ({
        headers: [
          ['authorization', `Bearer ${t.member},Bearer ${t.member}`],
          ['x-tenant-id', 'acme'],
        ],
      }),
      400,
      'request_malformed',
    ],
    ['an outsider', (t) => ({ headers: [bearer(t.outsider), ['x-tenant-id', 'acme']] }), 403, 'tenant_forbidden'],
    [
      'a tenant that is none',
      (t) => ({ headers: [bearer(t.member), ['x-tenant-id', 'nope']] }),
      403,
      'tenant_forbidden',
    ],
    ['an expired token', (t) => ({ headers: [bearer(t.expired)] }), 401, 'token_expired'],
    [
      'a target that is another than the route says',
      (t) => ({ headers: [bearer(t.member)], extensions: { stamp: '7', target: 'aggregate' } }),
      503,
      'routing_unavailable',
    ],
    [
      'no stamp',
      (t) => ({ headers: [bearer(t.member)], extensions: { target: 'projection' } }),
      503,
      'routing_unavailable',
    ],
    [
      'a stamp that is no number',
      () => ({ extensions: { stamp: '7e0', target: 'projection' } }),
      503,
      'routing_unavailable',
    ],
    ['an unknown path', () => ({ path: '/v2/query/orders' }), 404, 'not_found'],
    ['another method', () => ({ method: 'DELETE' }), 405, 'method_not_allowed'],
    ['an ambiguous path', () => ({ path: '/v1/query/..%2forders' }), 400, 'request_malformed'],
    [
      'a path that is not UTF-8',
      (t) => ({ path: '/v1/query/%c0%ae', headers: [bearer(t.member), ['x-tenant-id', 'acme']] }),
      400,
      'request_malformed',
    ],
  ])('%s', (_name, make, status, code) => {
    const fixture = checkFixture();
    const tokens: Tokens = {
      member: fixture.tokenOf('usr_member'),
      outsider: fixture.tokenOf('usr_outsider'),
      expired: fixture.tokenOf('usr_member', { iat: 1_799_999_000, exp: 1_799_999_600 }),
    };
    const { answer, problem, denied } = ask(fixture, { ...QUERY, ...make(tokens) });
    expect(problem).toMatchObject({ status, code, decision_id: denied['x-decision-id'] });
    expect(answer.status.code).toBeGreaterThan(0);
    expect(answer.ok_response).toBeUndefined();
    expect(answer.dynamic_metadata).toMatchObject({ outcome: 'deny', reason: code });
    expect(fixture.denials).toMatchObject([{ reason: code, source: '192.0.2.7' }]);
  });

  it('names every field that a command lacks', () => {
    const fixture = checkFixture();
    const { problem } = ask(fixture, {
      ...COMMAND,
      headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme']],
      fields: { aggregate_type: ['order'], aggregate_id: [''], command_id: ['c1', 'c2'] },
    });
    expect(problem['errors']).toEqual([
      { pointer: '/aggregate_id', code: 'required', detail: 'must be there and not empty' },
      { pointer: '/command_id', code: 'ambiguous', detail: 'must be there only once' },
    ]);
  });

  it.each<readonly [string, readonly (readonly [string, string])[]]>([
    ['malformed', [['idempotency-key', 'a b']]],
    [
      'there twice',
      [
        ['idempotency-key', 'k'],
        ['idempotency-key', 'k'],
      ],
    ],
    [
      'another than the other',
      [
        ['x-command-id', 'k'],
        ['idempotency-key', 'l'],
      ],
    ],
  ])('points to the id of a command whose header is %s', (_, headers) => {
    const fixture = checkFixture();
    const { problem } = ask(fixture, {
      ...COMMAND,
      headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme'], ...headers],
      fields: { aggregate_type: ['order'], aggregate_id: ['42'], command_id: [] },
    });
    expect(problem).toMatchObject({ code: 'validation_failed', errors: [{ pointer: '/command_id' }] });
  });

  it('of a command by its JSON path finds no message, whatever the metadata says', () => {
    const fixture = checkFixture();
    const { problem } = ask(fixture, {
      ...COMMAND,
      path: '/v1/commands/order/42',
      headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme']],
    });
    expect(problem['code']).toBe('validation_failed');
  });

  it('is told the methods there are', () => {
    expect(ask(checkFixture(), { method: 'PUT', path: '/admin/routing/revisions' }).denied['allow']).toBe('GET, POST');
  });

  it('repeats clean ids and leaves out others', () => {
    const headers = [
      ['x-request-id', 'req-1'],
      ['x-correlation-id', 'a"b'],
    ] as const;
    const { problem } = ask(checkFixture(), { headers });
    expect(problem['request_id']).toBe('req-1');
    expect(problem).not.toHaveProperty('correlation_id');
  });

  it('has a challenge by RFC 6750', () => {
    const fixture = checkFixture();
    expect(ask(fixture, {}).denied['www-authenticate']).toBe('Bearer');
    const { denied } = ask(fixture, { headers: [['authorization', 'Bearer rubbish']] });
    expect(denied['www-authenticate']).toMatch(/^Bearer error="invalid_token", error_description="[^"]+"$/);
  });

  it('is told in the words of gRPC to a native client alone', () => {
    const fixture = checkFixture();
    const native = ask(fixture, { ...COMMAND, headers: [['content-type', 'application/grpc+proto']] });
    expect(native.denied).toMatchObject({
      'grpc-status': '16',
      'x-gateway-grpc-status': '16',
      'x-gateway-error': 'token_missing',
    });
    // Envoy's to choose, for native gRPC and for gRPC-Web made of it.
    expect(native.denied).not.toHaveProperty('content-type');
    expect(decodeURIComponent(native.denied['grpc-message'] ?? '')).toBe(native.answer.denied_response?.body);
    const transcoded = ask(fixture, {
      ...COMMAND,
      headers: [
        ['content-type', 'application/grpc'],
        ['x-envoy-original-method', 'POST'],
      ],
    });
    expect(transcoded.denied['content-type']).toBe('application/problem+json');
    expect(transcoded.denied).not.toHaveProperty('grpc-status');
    // gRPC-Web that Envoy knows has become native gRPC by now; other kinds of it are no gRPC to anybody here.
    const other = ask(fixture, { ...COMMAND, headers: [['content-type', 'application/grpc-web+json']] });
    expect(other.denied['content-type']).toBe('application/problem+json');
    expect(other.denied).not.toHaveProperty('grpc-status');
  });

  it('in a message that cannot be read is still addressed to its client', () => {
    const fixture = checkFixture();
    const bytes = encodeCheck(
      checkJson({
        ...COMMAND,
        headers: [
          ['content-type', 'application/grpc'],
          ['x-request-id', 'req-1'],
        ],
        fields: { aggregate_type: ['order'], command_type: ['~'] },
      }),
    );
    bytes[bytes.lastIndexOf('~')] = 0xff;
    const result = fixture.check.check(bytes);
    if (result.kind === 'wait') throw new Error('waits');
    const answer = read(result.bytes);
    expect(headersOf(answer.denied_response?.headers)).toMatchObject({
      'x-gateway-error': 'request_malformed',
      'grpc-status': '3',
    });
    expect(answer.denied_response?.body).toBe('the request cannot be read');
    expect(fixture.denials).toMatchObject([{ requestId: 'req-1', reason: 'request_malformed' }]);
  });
});

interface Tokens {
  readonly member: string;
  readonly outsider: string;
  readonly expired: string;
}

describe('what is known of a principal', () => {
  const headersFor = (fixture: ReturnType<typeof checkFixture>, user = 'usr_member') =>
    [bearer(fixture.tokenOf(user)), ['x-tenant-id', 'acme']] as const;

  it('counts from the very next check', () => {
    const fixture = checkFixture();
    const request = { headers: headersFor(fixture) };
    const code = () => ask(fixture, request).problem['code'];
    expect(code()).toBeUndefined();
    fixture.put(iamKey.user('usr_member'), userRecord('usr_member', { status: 'disabled' }));
    expect(code()).toBe('principal_disabled');
    fixture.put(iamKey.user('usr_member'), userRecord('usr_member', { tokensValidAfter: 1_800_000_000 }));
    expect(code()).toBe('session_revoked');
    fixture.put(iamKey.user('usr_member'), userRecord('usr_member'));
    expect(code()).toBeUndefined();
    const revocation = { schema: 1, sessionId: 'ses_usr_member', until: 1_800_000_600 } as const;
    fixture.put(iamKey.revocation('ses_usr_member'), revocation);
    expect(code()).toBe('session_revoked');
    fixture.index.apply([{ key: iamKey.revocation('ses_usr_member'), revision: 99 }]);
    fixture.index.apply([{ key: iamKey.assignment('usr_member', 'asg_1'), revision: 100 }]);
    expect(code()).toBe('tenant_forbidden');
    fixture.index.apply([{ key: iamKey.user('usr_member'), revision: 101 }]);
    expect(code()).toBe('token_invalid');
    fixture.index.apply([{ key: iamKey.signingKey('key-1'), revision: 102 }]);
    expect(code()).toBe('token_invalid');
  });

  it('is worth nothing when it is too old, except where nothing need be known', () => {
    const fixture = checkFixture();
    const request = { headers: headersFor(fixture) };
    fixture.state.stalenessMs = 600_000;
    expect(ask(fixture, request).problem['code']).toBeUndefined();
    fixture.state.stalenessMs = 600_001;
    const { problem, denied } = ask(fixture, request);
    expect(problem['code']).toBe('storage_unavailable');
    expect(denied['retry-after']).toBe('1');
    expect(ask(fixture, {}).problem['code']).toBe('token_missing');
    const publicRequest = { method: 'GET', path: '/ready', extensions: { stamp: '7', target: 'api' } };
    expect(ask(fixture, publicRequest).ok['x-gateway-cluster']).toBe('api');
  });

  it('a member of a tenant that is not placed is told so', () => {
    const fixture = checkFixture();
    fixture.put(
      iamKey.assignment('usr_member', 'asg_9'),
      assignmentRecord('asg_9', ['usr_member', 'globex', 'tenant-member']),
    );
    const headers = [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'globex']] as const;
    expect(ask(fixture, { headers }).problem['code']).toBe('tenant_unplaced');
  });
});

describe('the stamped revision', () => {
  const stamped = (fixture: ReturnType<typeof checkFixture>, stamp: string, user = 'usr_member') => ({
    headers: [bearer(fixture.tokenOf(user)), ['x-tenant-id', 'acme']] as const,
    extensions: { stamp, target: 'projection' },
  });

  it('places the request, not the newest one', () => {
    const fixture = checkFixture();
    fixture.source.push(snapshotOf(8, { acme: { projection: at('s2', 8) } }));
    expect(ask(fixture, stamped(fixture, '7')).ok['x-gateway-cluster']).toBe('projection/s1');
    const { ok } = ask(fixture, stamped(fixture, '8'));
    expect(ok).toMatchObject({ 'x-gateway-cluster': 'projection/s2', 'x-placement-epoch': '8' });
  });

  it('that is not here yet is waited for, but only by who would be allowed', () => {
    const fixture = checkFixture();
    const bytes = encodeCheck(checkJson(stamped(fixture, '9')));
    expect(fixture.check.check(bytes)).toEqual({ kind: 'wait', revision: 9 });
    expect(read(fixture.check.checkFinally(bytes)).dynamic_metadata).toMatchObject({ reason: 'routing_unavailable' });
    expect(ask(fixture, stamped(fixture, '9', 'usr_outsider')).problem['code']).toBe('tenant_forbidden');
    fixture.source.push(snapshotOf(9, { acme: { projection: at('s2', 9) } }));
    expect(fixture.check.check(bytes).kind).toBe('answer');
  });

  it('that is no longer here is replaced by the newest, and marked so', () => {
    const fixture = checkFixture();
    fixture.source.push(snapshotOf(8, { acme: { projection: at('s2', 8) } }));
    const { answer, ok } = ask(fixture, stamped(fixture, '6'));
    expect(ok['x-gateway-cluster']).toBe('projection/s2');
    expect(answer.dynamic_metadata).toMatchObject({ revision: '8', revision_substituted: 'true' });
  });

  it('is noted with the time when it decided, substitutes under their own number, waiting and the API not at all', () => {
    const fixture = checkFixture();
    fixture.source.push(snapshotOf(8, { acme: { projection: at('s2', 8) } }));
    const nowMs = fixture.clock.ms;
    for (const stamp of ['7', '6']) ask(fixture, stamped(fixture, stamp));
    fixture.check.check(encodeCheck(checkJson(stamped(fixture, '9'))));
    ask(fixture, { path: '/health', extensions: { stamp: '7', target: 'envoy' } });
    expect(fixture.used).toEqual([
      [7, nowMs],
      [8, nowMs],
    ]);
  });
});
