import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createTokenStore, type TokenStore } from '../../../src/cli/token-store.ts';
import { type Answer, type Handler, runCli, startLocalApi, tempFolder } from './harness.ts';

const refused = (status: number, code: string): Answer => ({ status, body: { title: code, status, code } });

/** An API whose refresh tokens work once, like the real one's: a second use of the same one is a 401. */
function rotatingApi(): { readonly handler: Handler; readonly refreshes: () => number } {
  let current = 'rt1.first';
  let refreshes = 0;
  return {
    refreshes: () => refreshes,
    handler: ({ path, body, authorization }) => {
      if (path === '/v1/auth/refresh') {
        refreshes += 1;
        if (JSON.stringify(body) !== JSON.stringify({ refresh_token: current })) return refused(401, 'token_invalid');
        current = `rt1.${refreshes}`;
        return {
          body: { access_token: `at.${refreshes}`, token_type: 'Bearer', expires_in: 600, refresh_token: current },
        };
      }
      if (authorization !== `Bearer at.${refreshes}` || refreshes === 0) return refused(401, 'token_expired');
      return { body: { user_id: 'usr_1', email: 'a@example.com', memberships: [] } };
    },
  };
}

const signedIn = async (store: TokenStore, url: string, accessExpiresAtMs: number): Promise<void> =>
  store.save(url, { email: 'a@example.com', refreshToken: 'rt1.first', accessToken: 'at.old', accessExpiresAtMs });

describe('the access token', () => {
  test('is refreshed before it ends, and the new refresh token is saved', async () => {
    await using folder = await tempFolder();
    const { handler, refreshes } = rotatingApi();
    await using api = await startLocalApi(handler);
    const tokens = createTokenStore(folder.path);
    await signedIn(tokens, api.url, Date.now() + 10_000);
    expect((await runCli(['whoami'], { url: api.url, tokens })).code).toBe(0);
    expect((await tokens.load(api.url))?.refreshToken).toBe('rt1.1');
    expect((await runCli(['whoami'], { url: api.url, tokens })).code).toBe(0);
    expect(refreshes()).toBe(1);
  });

  test('refused as expired is refreshed and the call made once more', async () => {
    await using folder = await tempFolder();
    const { handler, refreshes } = rotatingApi();
    await using api = await startLocalApi(handler);
    const tokens = createTokenStore(folder.path);
    await signedIn(tokens, api.url, Date.now() + 3_600_000);
    expect((await runCli(['whoami'], { url: api.url, tokens })).code).toBe(0);
    expect(refreshes()).toBe(1);
  });

  test('parallel commands spend a refresh token once', async () => {
    await using folder = await tempFolder();
    const { handler, refreshes } = rotatingApi();
    await using api = await startLocalApi(handler);
    await signedIn(createTokenStore(folder.path), api.url, 0);
    const runs = await Promise.all(
      Array.from({ length: 5 }, () => runCli(['whoami'], { url: api.url, tokens: createTokenStore(folder.path) })),
    );
    expect(runs.map((run) => run.code)).toEqual([0, 0, 0, 0, 0]);
    expect(refreshes()).toBe(1);
  });

  test('a refused refresh forgets the sign-in and says how to get a new one', async () => {
    await using folder = await tempFolder();
    await using api = await startLocalApi(() => refused(401, 'session_revoked'));
    const tokens = createTokenStore(folder.path);
    await signedIn(tokens, api.url, 0);
    const { code, err } = await runCli(['whoami'], { url: api.url, tokens });
    expect(code).toBe(1);
    expect(err).toContain('has ended (session_revoked); run `gatewayctl login --email a@example.com`');
    expect(await tokens.load(api.url)).toBeUndefined();
  });

  test('a gateway that is away or overloaded does not cost the sign-in', async () => {
    await using folder = await tempFolder();
    const tokens = createTokenStore(folder.path);
    await using api = await startLocalApi(() => refused(503, 'storage_unavailable'));
    await signedIn(tokens, api.url, 0);
    expect((await runCli(['whoami'], { url: api.url, tokens })).code).toBe(1);
    expect(await tokens.load(api.url)).toBeDefined();
  });

  test('GATEWAY_TOKEN is used as it is, and not refreshed when refused', async () => {
    await using api = await startLocalApi(() => refused(401, 'token_expired'));
    const { code } = await runCli(['whoami'], { url: api.url, token: 'given' });
    expect(code).toBe(1);
    expect(api.seen.map((request) => request.authorization)).toEqual(['Bearer given']);
  });

  test('without a sign-in nothing is sent', async () => {
    await using folder = await tempFolder();
    await using api = await startLocalApi(() => ({ body: {} }));
    const { code, err } = await runCli(['whoami'], { url: api.url, tokens: createTokenStore(join(folder.path, 'x')) });
    expect(code).toBe(1);
    expect(err).toContain('not signed in');
    expect(api.seen).toEqual([]);
  });
});

describe('signing in and out', () => {
  test('login keeps the tokens; the line end of the piped password is not part of it', async () => {
    await using folder = await tempFolder();
    const tokens = createTokenStore(folder.path);
    await using api = await startLocalApi(() => ({
      body: { access_token: 'at', token_type: 'Bearer', expires_in: 600, refresh_token: 'rt' },
    }));
    const words = ['login', '--email', 'a@example.com', '--password-stdin'];
    const { code, out } = await runCli(words, { url: api.url, tokens, input: 'pass word\n' });
    expect({ code, out }).toEqual({ code: 0, out: `signed in at ${api.url} as a@example.com\n` });
    expect(api.seen[0]).toMatchObject({
      path: '/v1/auth/signin',
      body: { email: 'a@example.com', password: 'pass word' },
    });
    expect(await tokens.load(api.url)).toMatchObject({ refreshToken: 'rt', accessToken: 'at' });
  });

  test('login without a terminal or --password-stdin is a usage mistake', async () => {
    await using api = await startLocalApi(() => ({}));
    const { code, err } = await runCli(['login', '--email', 'a@example.com'], { url: api.url });
    expect(code).toBe(2);
    expect(err).toContain('--password-stdin');
  });

  test('logout revokes and forgets; it forgets also when the gateway is away, and says that it is', async () => {
    await using folder = await tempFolder();
    const tokens = createTokenStore(folder.path);
    const api = await startLocalApi(() => ({ body: {} }));
    await signedIn(tokens, api.url, Date.now() + 3_600_000);
    expect((await runCli(['logout'], { url: api.url, tokens })).code).toBe(0);
    expect(api.seen[0]).toMatchObject({ method: 'POST', path: '/v1/auth/signout' });
    expect(await tokens.load(api.url)).toBeUndefined();
    await signedIn(tokens, api.url, Date.now() + 3_600_000);
    await api[Symbol.asyncDispose]();
    expect((await runCli(['logout'], { url: api.url, tokens })).code).toBe(3);
    expect(await tokens.load(api.url)).toBeUndefined();
  });
});
