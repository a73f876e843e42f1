import { describe, expect, test } from 'vitest';
import { RefusedError, UnreachableError } from '../../../src/cli/failures.ts';
import { answers, createGateway, listAll } from '../../../src/cli/gateway-client.ts';
import { fixedToken } from '../../../src/cli/session.ts';
import { type Handler, startLocalApi } from './harness.ts';

const gatewayAt = (url: string, fetchUrl: typeof fetch = fetch) =>
  createGateway({ url, tokens: fixedToken('token'), fetch: fetchUrl });

/** A fetch that fails as the built-in one does: a TypeError whose cause says why. */
const failing =
  (error: Error): typeof fetch =>
  () =>
    Promise.reject(error);
const causedBy = (code: string): Error =>
  new TypeError('fetch failed', { cause: Object.assign(new Error('inner'), { code }) });

describe('a call', () => {
  test('goes by the endpoint catalogue: method, path, token', async () => {
    await using api = await startLocalApi(() => ({ body: { ok: true } }));
    const gateway = gatewayAt(api.url);
    await gateway.call({ endpoint: 'iam.assignments.delete', path: { assignment_id: 'a/b?c' } });
    await gateway.call({ endpoint: 'iam.users.list', query: { limit: '5', cursor: undefined } });
    await gateway.call({ endpoint: 'auth.signin', body: { email: 'x' } });
    expect(api.seen).toEqual([
      { method: 'DELETE', path: '/admin/iam/assignments/a%2Fb%3Fc', authorization: 'Bearer token', body: undefined },
      { method: 'GET', path: '/admin/iam/users?limit=5', authorization: 'Bearer token', body: undefined },
      // A public endpoint gets no token.
      { method: 'POST', path: '/v1/auth/signin', authorization: undefined, body: { email: 'x' } },
    ]);
  });

  test('an empty answer is undefined', async () => {
    await using api = await startLocalApi(() => ({ status: 204 }));
    expect(await gatewayAt(api.url).call({ endpoint: 'auth.me' })).toBeUndefined();
  });

  test('an answer that is no problem document is shown by its beginning', async () => {
    await using api = await startLocalApi(() => ({ status: 502, raw: '<h1>Bad gateway</h1>', type: 'text/html' }));
    const failure = gatewayAt(api.url).call({ endpoint: 'auth.me' });
    await expect(failure).rejects.toThrow('status 502, text/html: <h1>Bad gateway</h1>');
    await expect(failure).rejects.toBeInstanceOf(RefusedError);
  });

  test('a success that is not JSON is refused as strange', async () => {
    await using api = await startLocalApi(() => ({ raw: 'hello', type: 'text/plain' }));
    await expect(gatewayAt(api.url).call({ endpoint: 'auth.me' })).rejects.toBeInstanceOf(RefusedError);
  });

  test('a redirect is not followed: a token must not travel to another host', async () => {
    await using other = await startLocalApi(() => ({ body: {} }));
    await using api = await startLocalApi(() => ({ status: 307, location: `${other.url}/v1/auth/me` }));
    await expect(gatewayAt(api.url).call({ endpoint: 'auth.me' })).rejects.toThrow('unexpected redirect');
    expect([api.seen.length, other.seen.length]).toEqual([1, 0]);
  });
});

describe('no answer', () => {
  test('nobody listens', async () => {
    const api = await startLocalApi(() => ({}));
    await api[Symbol.asyncDispose]();
    const failure = gatewayAt(api.url).call({ endpoint: 'auth.me' });
    await expect(failure).rejects.toThrow(`nothing listens at ${api.url}: is the gateway running?`);
    await expect(failure).rejects.toBeInstanceOf(UnreachableError);
  });

  test.each([
    [causedBy('ENOTFOUND'), 'the host name in http://h is not known'],
    [
      causedBy('SELF_SIGNED_CERT_IN_CHAIN'),
      'not trusted (SELF_SIGNED_CERT_IN_CHAIN): name its authority with --ca FILE',
    ],
    [causedBy('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'name its authority with --ca FILE'],
    [causedBy('ECONNRESET'), 'cannot reach http://h: ECONNRESET'],
    [new TypeError('fetch failed', { cause: new AggregateError([causedBy('ECONNREFUSED').cause]) }), 'nothing listens'],
    [new DOMException('late', 'TimeoutError'), 'no answer from http://h within 20 s'],
  ])('%s', async (error, message) => {
    await expect(gatewayAt('http://h', failing(error)).call({ endpoint: 'auth.me' })).rejects.toThrow(message);
  });

  test('answers() takes any answer for a gateway, and none for none', async () => {
    await using api = await startLocalApi(() => ({ status: 503, body: {} }));
    expect(await answers(api.url, fetch)).toBe(true);
    expect(await answers('http://h', failing(causedBy('ECONNREFUSED')))).toBe(false);
  });
});

describe('a paged list', () => {
  const pages: Handler = ({ path }) => {
    const query = new URL(path, 'http://h').searchParams;
    const from = Number(query.get('cursor') ?? '0');
    const end = Math.min(250, from + Number(query.get('limit')));
    const items = Array.from({ length: end - from }, (_, index) => ({ id: from + index }));
    return { body: { items, next_cursor: end < 250 ? String(end) : null } };
  };

  test('is read page by page to its end', async () => {
    await using api = await startLocalApi(pages);
    const { items, more } = await listAll(gatewayAt(api.url), { endpoint: 'iam.users.list' }, 1_000);
    expect({ count: items.length, last: items.at(-1), more }).toEqual({ count: 250, last: { id: 249 }, more: false });
    expect(api.seen).toHaveLength(3);
  });

  test('is cut at the limit, and says so', async () => {
    await using api = await startLocalApi(pages);
    const { items, more } = await listAll(gatewayAt(api.url), { endpoint: 'iam.users.list' }, 120);
    expect({ count: items.length, more }).toEqual({ count: 120, more: true });
  });

  test('goes on behind an empty page', async () => {
    await using api = await startLocalApi(({ path }) =>
      path.includes('cursor=b') ? { body: { items: [{ id: 1 }] } } : { body: { items: [], next_cursor: 'b' } },
    );
    const list = await listAll(gatewayAt(api.url), { endpoint: 'iam.users.list' }, 10);
    expect(list).toEqual({ items: [{ id: 1 }], more: false });
  });

  test('a cursor that leads to itself ends it', async () => {
    await using api = await startLocalApi(() => ({ body: { items: [], next_cursor: 'again' } }));
    expect(await listAll(gatewayAt(api.url), { endpoint: 'iam.users.list' }, 10)).toEqual({ items: [], more: false });
    expect(api.seen).toHaveLength(2);
  });
});
