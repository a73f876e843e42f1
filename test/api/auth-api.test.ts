import { hash as argon2Hash } from '@node-rs/argon2';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Api, account, BOOTSTRAP_TOKEN, PASSWORD, platformAdmin, signInAs, startApi } from '../support/api.ts';
import { PUBLIC_URL } from '../support/identity.ts';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

const post = (path: string, body: unknown, token?: string) => api.call({ method: 'POST', path, body, token });
const bootstrapBody = { bootstrap_token: BOOTSTRAP_TOKEN, email: 'root@example.org', password: PASSWORD };

describe('bootstrap', () => {
  it('makes the first platform admin once', async () => {
    const first = await post('/v1/auth/bootstrap', bootstrapBody);
    expect(first.status).toBe(201);
    expect(first.body).toEqual({ user_id: expect.stringMatching(/^usr_[a-z2-7]{26}$/) });
    const second = await post('/v1/auth/bootstrap', { ...bootstrapBody, email: 'other@example.org' });
    expect([second.status, second.body.code]).toEqual([409, 'conflict']);
    const admin = await signInAs(api, 'root@example.org');
    const me = await api.call({ method: 'GET', path: '/v1/auth/me', token: admin.accessToken });
    expect(me.body.memberships).toEqual([{ tenant_id: null, role_id: 'platform-admin' }]);
  });

  it('refuses a wrong token before anything else', async () => {
    const answer = await post('/v1/auth/bootstrap', { bootstrap_token: 'wrong', email: 'x', password: 'y' });
    expect([answer.status, answer.body.code]).toEqual([401, 'credentials_invalid']);
    expect(api.hasher.hashed).toBe(0);
  });

  it('has one winner of twenty at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        post('/v1/auth/bootstrap', { ...bootstrapBody, email: `root${index}@example.org` }),
      ),
    );
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === 409)).toHaveLength(19);
  });
});

describe('sign-up', () => {
  it('answers the same for a new and a taken address, for the same work', async () => {
    const fresh = await post('/v1/auth/signup', { email: 'ann@example.org', password: PASSWORD });
    expect([fresh.status, fresh.body]).toEqual([202, { status: 'accepted' }]);
    const before = api.hasher.hashed;
    const taken = await post('/v1/auth/signup', { email: ' Ann@Example.ORG ', password: 'another-good-password-9' });
    expect([taken.status, taken.text]).toEqual([fresh.status, fresh.text]);
    expect(Object.keys(taken.headers).sort()).toEqual(Object.keys(fresh.headers).sort());
    expect(taken.headers['content-length']).toBe(fresh.headers['content-length']);
    expect(api.hasher.hashed - before).toBe(1);
    expect(api.rig.mails.map((mail) => [mail.to, mail.subject])).toEqual([
      ['ann@example.org', 'You already have an account'],
    ]);
    await signInAs(api, 'ANN@example.org');
    const other = await post('/v1/auth/signin', { email: 'ann@example.org', password: 'another-good-password-9' });
    expect(other.body.code).toBe('credentials_invalid');
  });

  it('names every mistake with its place', async () => {
    const answer = await post('/v1/auth/signup', { email: 'no address', password: 'password' });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map((error: { pointer: string; code: string }) => [error.pointer, error.code])).toEqual([
      ['/email', 'email'],
      ['/password', 'too_common'],
    ]);
    const unknown = await post('/v1/auth/signup', { email: 'a@b.org', verified: true });
    expect(unknown.body.errors.map((error: { pointer: string; code: string }) => [error.pointer, error.code])).toEqual([
      ['/password', 'required'],
      ['/verified', 'unknown_member'],
    ]);
  });
});

describe('sign-in', () => {
  it('gives tokens that the published keys verify', async () => {
    const { accessToken, userId } = await account(api, 'ann@example.org');
    const keys = await api.call({ method: 'GET', path: '/.well-known/jwks.json' });
    expect(keys.body.keys).toEqual([expect.objectContaining({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })]);
    expect(keys.text).not.toMatch(/"d"|sealed/);
    const { payload, protectedHeader } = await jwtVerify(accessToken, createLocalJWKSet(keys.body), {
      issuer: PUBLIC_URL,
      audience: 'gateway',
      typ: 'at+jwt',
      algorithms: ['ES256'],
      currentDate: new Date(api.clock.nowMs()),
    });
    expect(protectedHeader.kid).toBe(keys.body.keys[0].kid);
    expect(payload).toMatchObject({ sub: userId, client_id: 'gateway', amr: ['pwd'], exp: (payload.iat ?? 0) + 600 });
    expect(payload['sid']).toMatch(/^ses_[a-z2-7]{26}$/);
    expect(Object.keys(payload).sort()).toEqual([
      'amr',
      'aud',
      'auth_time',
      'client_id',
      'exp',
      'iat',
      'iss',
      'jti',
      'sid',
      'sub',
    ]);
  });

  it('does not tell a wrong password from an unknown or a malformed address', async () => {
    await account(api, 'ann@example.org');
    const before = api.hasher.verified;
    const wrong = await post('/v1/auth/signin', { email: 'ann@example.org', password: 'something-else' });
    const unknown = await post('/v1/auth/signin', { email: 'nobody@example.org', password: 'something-else' });
    const malformed = await post('/v1/auth/signin', { email: 'nobody', password: 'something-else' });
    expect(api.hasher.verified - before).toBe(3);
    for (const answer of [wrong, unknown, malformed]) {
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="gateway"');
      expect({ ...answer.body, request_id: '', correlation_id: '' }).toEqual({
        ...wrong.body,
        request_id: '',
        correlation_id: '',
      });
    }
  });

  it('hashes a password anew that was hashed with weaker parameters', async () => {
    const { userId } = await account(api, 'ann@example.org');
    const options = { memoryCost: 8_192, timeCost: 1, parallelism: 1 };
    const weak = { schema: 1, hash: await argon2Hash(PASSWORD, options), changedAt: '2026-01-01T00:00:00.000Z' };
    await api.store.commit([{ key: `pw.${userId}`, value: new TextEncoder().encode(JSON.stringify(weak)) }]);
    await signInAs(api, 'ann@example.org');
    const stored = JSON.parse(new TextDecoder().decode((await api.store.get(`pw.${userId}`))?.value));
    expect(stored.hash).toContain('$m=19456,t=2,p=1$');
    expect(stored.changedAt).toBe(weak.changedAt);
    const before = api.hasher.hashed;
    await signInAs(api, 'ann@example.org');
    expect(api.hasher.hashed).toBe(before);
  });

  it('says that the storage is away, never that credentials are wrong', async () => {
    await account(api, 'ann@example.org');
    api.store.setAvailable(false);
    for (const email of ['ann@example.org', 'nobody@example.org']) {
      const answer = await post('/v1/auth/signin', { email, password: PASSWORD });
      expect([answer.status, answer.body.code]).toEqual([503, 'storage_unavailable']);
    }
    const signUp = await post('/v1/auth/signup', { email: 'new@example.org', password: PASSWORD });
    expect([signUp.status, signUp.body.code]).toEqual([503, 'storage_unavailable']);
    expect((await api.call({ method: 'GET', path: '/.well-known/jwks.json' })).status).toBe(503);
  });
});

describe('required verification', () => {
  it('lets nobody in before the mailed link was used, once', async () => {
    await using strict = await startApi({ emailVerification: 'required' });
    const body = { email: 'ann@example.org', password: PASSWORD };
    await strict.call({ method: 'POST', path: '/v1/auth/signup', body });
    const early = await strict.call({ method: 'POST', path: '/v1/auth/signin', body });
    expect([early.status, early.body.code]).toEqual([401, 'credentials_invalid']);
    const token = /#token=(\S+)/.exec(strict.rig.mails[0]?.text ?? '')?.[1];
    expect(strict.rig.mails[0]?.text).toContain(`${PUBLIC_URL}/v1/auth/verify-email#token=ev1.`);
    const verify = () => strict.call({ method: 'POST', path: '/v1/auth/verify-email', body: { token } });
    expect((await verify()).body).toEqual({ status: 'verified' });
    expect((await strict.call({ method: 'POST', path: '/v1/auth/signin', body })).status).toBe(200);
    const again = await verify();
    expect([again.status, again.body.errors[0].pointer]).toEqual([400, '/token']);
  });

  it('lets the owner of the mailbox decide whose password counts', async () => {
    await using strict = await startApi({ emailVerification: 'required' });
    const signUp = (password: string) =>
      strict.call({ method: 'POST', path: '/v1/auth/signup', body: { email: 'ann@example.org', password } });
    const signIn = (password: string) =>
      strict.call({ method: 'POST', path: '/v1/auth/signin', body: { email: 'ann@example.org', password } });
    await signUp('the-strangers-password-1');
    await signUp('the-owners-password-2');
    const tokens = strict.rig.mails.map((mail) => /#token=(\S+)/.exec(mail.text)?.[1]);
    expect(tokens).toHaveLength(2);
    await strict.call({ method: 'POST', path: '/v1/auth/verify-email', body: { token: tokens[1] } });
    expect((await signIn('the-strangers-password-1')).status).toBe(401);
    expect((await signIn('the-owners-password-2')).status).toBe(200);
    const stale = await strict.call({ method: 'POST', path: '/v1/auth/verify-email', body: { token: tokens[0] } });
    expect(stale.status).toBe(400);
    expect((await signIn('the-owners-password-2')).status).toBe(200);
  });

  it('forgets a link after a day', async () => {
    await using strict = await startApi({ emailVerification: 'required' });
    await strict.call({ method: 'POST', path: '/v1/auth/signup', body: { email: 'a@b.org', password: PASSWORD } });
    strict.clock.advanceSeconds(86_400);
    const token = /#token=(\S+)/.exec(strict.rig.mails[0]?.text ?? '')?.[1];
    const late = await strict.call({ method: 'POST', path: '/v1/auth/verify-email', body: { token } });
    expect(late.status).toBe(400);
  });

  it('serves a page that needs a person and may run its own script only', async () => {
    const page = await api.call({ method: 'GET', path: '/v1/auth/verify-email' });
    expect(page.status).toBe(200);
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'sha256-/);
    expect(page.text).toContain("method: 'POST'");
  });
});

describe('me', () => {
  it('is for the caller only', async () => {
    const ann = await account(api, 'ann@example.org');
    const me = await api.call({ method: 'GET', path: '/v1/auth/me', token: ann.accessToken });
    expect(me.body).toEqual({
      user_id: ann.userId,
      email: 'ann@example.org',
      email_verified: false,
      created_at: '2026-03-01T12:00:00.000Z',
      memberships: [],
    });
    const none = await api.call({ method: 'GET', path: '/v1/auth/me' });
    expect([none.status, none.body.code, none.headers['www-authenticate']]).toEqual([
      401,
      'token_missing',
      'Bearer realm="gateway"',
    ]);
    const bad = await api.call({ method: 'GET', path: '/v1/auth/me', token: 'abc' });
    expect([bad.status, bad.body.code]).toEqual([401, 'token_invalid']);
    expect(bad.headers['www-authenticate']).toContain('error="invalid_token"');
    const claimed = await api.call({
      method: 'GET',
      path: '/v1/auth/me',
      headers: { 'x-principal-id': ann.userId, 'x-principal-kind': 'user' },
    });
    expect(claimed.status).toBe(401);
    api.clock.advanceSeconds(601);
    const expired = await api.call({ method: 'GET', path: '/v1/auth/me', token: ann.accessToken });
    expect([expired.status, expired.body.code]).toEqual([401, 'token_expired']);
  });
});

describe('sign-out', () => {
  it('ends the session for access and refresh tokens at once', async () => {
    const ann = await account(api, 'ann@example.org');
    const answer = await api.call({ method: 'POST', path: '/v1/auth/signout', token: ann.accessToken });
    expect(answer.body).toEqual({ status: 'signed_out', revision: expect.any(Number), applied: 'all' });
    const me = await api.call({ method: 'GET', path: '/v1/auth/me', token: ann.accessToken });
    expect([me.status, me.body.code]).toEqual([401, 'session_revoked']);
    const refresh = await post('/v1/auth/refresh', { refresh_token: ann.refreshToken });
    expect([refresh.status, refresh.body.code]).toEqual([401, 'session_revoked']);
    await signInAs(api, 'ann@example.org');
  });
});

describe('logs', () => {
  it('hold no secret of any request, not even of a failing one', async () => {
    const admin = await platformAdmin(api);
    await post('/v1/auth/signin', { email: 'root@example.org', password: 'wrong-password-in-log' });
    await post('/v1/auth/refresh', { refresh_token: admin.refreshToken });
    const text = api.logged.join('\n');
    for (const secret of [PASSWORD, BOOTSTRAP_TOKEN, admin.accessToken, admin.refreshToken, 'wrong-password-in-log']) {
      expect(text).not.toContain(secret);
    }
  });
});
