import { connect } from 'node:net';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { type Api, type ApiRequest, PASSWORD, platformAdmin, type SignedIn, startApi } from '../support/api.ts';
import { PUBLIC_URL } from '../support/identity.ts';
import { routingDocument } from '../support/routing.ts';

let api: Api;
let admin: SignedIn;
beforeAll(async () => {
  api = await startApi();
  admin = await platformAdmin(api);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});

const signUp = (rest: Partial<ApiRequest>) => api.call({ method: 'POST', path: '/v1/auth/signup', ...rest });

describe('the catalogue', () => {
  const rows = ENDPOINTS.filter((row) => row.target === 'api');

  it('has a handler for each row of the API, and no handler has no row', () => {
    const served = [...api.routes.map((route) => route.id), 'openapi'].sort();
    expect(served).toEqual(rows.map((row) => row.id).sort());
    for (const row of rows) {
      const url = row.path.replaceAll(/\{([a-z_]+)\}/g, ':$1');
      expect(api.app.hasRoute({ method: row.method, url }), row.id).toBe(true);
    }
  });

  it('lets nobody without a token come to a row that is not public', async () => {
    for (const row of rows.filter((candidate) => candidate.access !== 'public')) {
      const path = row.path.replaceAll(/\{[a-z_]+\}/g, '1');
      const answer = await api.call({ method: row.method, path });
      expect([row.id, answer.status, answer.body.code]).toEqual([row.id, 401, 'token_missing']);
    }
  });
});

describe('OpenAPI', () => {
  it('describes every row of the API with its own schemas', async () => {
    const { body, headers } = await api.call({ method: 'GET', path: '/openapi.json' });
    expect(headers['cache-control']).toBe('public, max-age=300');
    expect(body.openapi).toBe('3.1.0');
    expect(body.servers).toEqual([{ url: PUBLIC_URL }]);
    for (const row of ENDPOINTS.filter((candidate) => candidate.target === 'api')) {
      const operation = body.paths[row.path]?.[row.method.toLowerCase()];
      expect(operation?.operationId, row.id).toBe(row.id);
      if (row.access !== 'public') expect(operation.security).toEqual([{ bearer: [] }]);
      const named = [...row.path.matchAll(/\{([a-z_]+)\}/g)].map((match) => match[1]);
      const declared = operation.parameters?.filter((parameter: { in: string }) => parameter.in === 'path') ?? [];
      expect(declared.map((parameter: { name: string }) => parameter.name)).toEqual(named);
    }
    expect(body.paths['/v1/auth/signup'].post.requestBody.content['application/json'].schema).toEqual(
      api.routes.find((route) => route.id === 'auth.signup')?.body,
    );
  });

  it('tells the truth about answers', async () => {
    const { body: document } = await api.call({ method: 'GET', path: '/openapi.json' });
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    addFormats.default(ajv);
    ajv.addSchema(document, 'openapi');
    const token = admin.accessToken;
    const requests: readonly ApiRequest[] = [
      { method: 'POST', path: '/admin/routing/revisions', token, body: routingDocument({ acme: 's1' }) },
      { method: 'GET', path: '/admin/routing', token },
      { method: 'GET', path: '/admin/routing?include=document', token },
      { method: 'GET', path: '/admin/routing/revisions', token },
      { method: 'GET', path: '/admin/routing/revisions/1', token },
      { method: 'GET', path: '/admin/routing/revisions/1/diff', token },
      { method: 'GET', path: '/admin/routing/revisions/1/swap', token },
      { method: 'POST', path: '/admin/routing/revisions?dry_run=true', token, body: routingDocument({ acme: 's2' }) },
      { method: 'GET', path: '/admin/routing/tenants/acme', token },
      { method: 'GET', path: '/admin/routing/status', token },
      { method: 'POST', path: '/admin/routing/reload', token },
      { method: 'GET', path: '/admin/iam/users', token },
      { method: 'GET', path: `/admin/iam/users/${admin.userId}`, token },
      { method: 'GET', path: '/admin/iam/roles', token },
      { method: 'GET', path: '/admin/iam/assignments', token },
      { method: 'GET', path: '/v1/auth/me', token },
      { method: 'GET', path: '/v1/auth/me' },
      { method: 'POST', path: '/v1/auth/signup', body: { email: 1 } },
      { method: 'POST', path: '/v1/auth/refresh', body: { refresh_token: admin.refreshToken } },
      { method: 'GET', path: '/ready' },
      { method: 'GET', path: '/.well-known/jwks.json' },
      { method: 'GET', path: '/.well-known/oauth-authorization-server' },
    ];
    for (const request of requests) {
      const answer = await api.call(request);
      const path = request.path.replace(/\?.*/, '');
      const row = ENDPOINTS.find((candidate) => candidate.method === request.method && matches(candidate.path, path));
      const template = (row?.path ?? '').replaceAll('~', '~0').replaceAll('/', '~1');
      const type = String(answer.headers['content-type']).split(';')[0]?.replace('/', '~1');
      const pointer = `/paths/${template}/${request.method.toLowerCase()}/responses/${answer.status}/content/${type}/schema`;
      const validate = ajv.getSchema(`openapi#${pointer.replaceAll('{', '%7B').replaceAll('}', '%7D')}`);
      expect(validate, `${request.method} ${request.path} -> ${answer.status}`).toBeTypeOf('function');
      expect([request.path, validate?.(answer.body), validate?.errors]).toEqual([request.path, true, null]);
    }
  });
});

/** The app on a free port: what only a real connection can carry. */
async function listening(): Promise<{ readonly port: number }> {
  if (!api.app.server.listening) await api.app.listen({ host: '127.0.0.1', port: 0 });
  const address = api.app.server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port };
}

async function exchange(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end(request);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

const matches = (template: string, path: string): boolean =>
  new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{[a-z_]+\}/g, '[^/]+')}$`).test(path);

describe('what is refused before any handler', () => {
  it.each<[string, Partial<ApiRequest>, number, string]>([
    [
      'another media type',
      { body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      'unsupported_media_type',
    ],
    ['plain text', { body: '{}', headers: { 'content-type': 'text/plain' } }, 415, 'unsupported_media_type'],
    [
      'a media type with garbage',
      { body: '{}', headers: { 'content-type': 'application/json garbage' } },
      415,
      'unsupported_media_type',
    ],
    ['no body', {}, 400, 'validation_failed'],
    ['an empty body', { body: '', headers: { 'content-type': 'application/json' } }, 400, 'request_malformed'],
    ['half a document', { body: '{"email":' }, 400, 'request_malformed'],
    ['a prototype', { body: '{"__proto__":{"x":1},"email":"a@b.org","password":"p"}' }, 400, 'request_malformed'],
    ['a list', { body: '[]' }, 400, 'validation_failed'],
    ['too much', { body: { email: 'a@b.org', password: 'x'.repeat(17_000) } }, 413, 'body_too_large'],
    [
      'an unknown query',
      { path: '/v1/auth/signup?admin=1', body: { email: 'a@b.org', password: PASSWORD } },
      400,
      'validation_failed',
    ],
  ])('%s', async (_, request, status, code) => {
    const answer = await signUp(request);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ type: `urn:gateway:error:${code}`, status, request_id: expect.any(String) });
  });

  it('knows unknown paths from wrong methods', async () => {
    const unknown = await api.call({ method: 'GET', path: '/v1/nothing' });
    expect([unknown.status, unknown.body.code]).toEqual([404, 'not_found']);
    const method = await api.call({ method: 'DELETE', path: '/v1/auth/signup' });
    expect([method.status, method.body.code, method.headers['allow']]).toEqual([405, 'method_not_allowed', 'POST']);
    const nested = await api.call({ method: 'PUT', path: '/admin/iam/users/x' });
    expect([nested.status, nested.headers['allow']]).toEqual([405, 'GET']);
    for (const path of ['//v1/auth/me', '/v1/auth/%2e%2e/me', '/v1/auth/me%', '/v1/auth/m%zz']) {
      const odd = await api.call({ method: 'GET', path });
      expect([path, odd.headers['content-type'], [400, 404].includes(odd.status)]).toEqual([
        path,
        'application/problem+json',
        true,
      ]);
    }
  });

  it.each([
    ['authorization: Bearer a\r\nAuthorization: Bearer b', 'request_malformed'],
    ['x-tenant-id: acme\r\nX-Tenant-Id: globex', 'tenant_invalid'],
  ])('a header that came twice: %j', async (headers, code) => {
    const { port } = await listening();
    const answer = await exchange(port, `GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain(`"code":"${code}"`);
  });

  it.each([
    ['what is no HTTP', 'HELO there\r\n\r\n', 'request_malformed'],
    ['too many header bytes', `GET / HTTP/1.1\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`, 'headers_too_large'],
  ])('%s', async (_, bytes, code) => {
    const answer = await exchange((await listening()).port, bytes);
    expect(answer).toContain('content-type: application/problem+json');
    expect(answer).toContain(`"code":"${code}"`);
  });

  it('reads no body before it knows the caller', async () => {
    const answer = await api.call({ method: 'POST', path: '/admin/routing/revisions', body: '{"half":' });
    expect([answer.status, answer.body.code]).toEqual([401, 'token_missing']);
  });

  it('caps the errors of one answer', async () => {
    const body = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`m${index}`, 1]));
    const answer = await signUp({ body });
    expect(answer.body.errors).toHaveLength(100);
  });
});

describe('ids and headers', () => {
  it('gives every answer its ids and security headers', async () => {
    const answer = await api.call({
      method: 'GET',
      path: '/v1/auth/me',
      headers: { 'x-request-id': 'req-1', 'x-correlation-id': 'cor:1', 'x-decision-id': `dec_${'a'.repeat(26)}` },
    });
    expect(answer.headers).toMatchObject({
      'x-request-id': 'req-1',
      'x-correlation-id': 'cor:1',
      'x-gateway-error': 'token_missing',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    expect(answer.body).toMatchObject({
      request_id: 'req-1',
      correlation_id: 'cor:1',
      decision_id: `dec_${'a'.repeat(26)}`,
    });
  });

  it('replaces ids that are not well formed', async () => {
    const answer = await api.call({
      method: 'GET',
      path: '/v1/nothing',
      headers: { 'x-request-id': 'a b', 'x-correlation-id': 'x'.repeat(129), 'x-decision-id': 'dec_forged' },
    });
    expect(answer.body.request_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.body.correlation_id).toBe(answer.body.request_id);
    expect(answer.body.decision_id).toBeUndefined();
  });
});

describe('the state of the replica', () => {
  it('is alive, ready by named conditions, and measured', async () => {
    expect((await api.call({ method: 'GET', path: '/health' })).body).toEqual({ status: 'ok' });
    const ready = await api.call({ method: 'GET', path: '/ready' });
    expect([ready.status, ready.body]).toEqual([200, { status: 'ready', conditions: [{ name: 'storage', ok: true }] }]);
    api.readiness = [
      { name: 'storage', ok: true },
      { name: 'routing', ok: false, detail: 'no revision is loaded yet' },
    ];
    const unready = await api.call({ method: 'GET', path: '/ready' });
    expect([unready.status, unready.headers['content-type']]).toEqual([503, 'application/problem+json']);
    expect(unready.body).toMatchObject({ code: 'routing_unavailable', detail: 'not ready: routing' });
    expect(unready.body.conditions).toHaveLength(2);
    api.readiness = [{ name: 'storage', ok: true }];
    const metrics = await api.call({ method: 'GET', path: '/metrics' });
    expect(metrics.text).toContain('process_cpu_seconds_total');
  });
});
