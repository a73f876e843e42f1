import { readFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { ask } from '../../support/edge-client.ts';
import { type GatewayWithMember, startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import { sendRaw } from './raw-http1.ts';

const ORIGIN = 'https://admin.example.com';
const HSTS_SECONDS = 600;
const QUERY = '/v1/query/orders';
/** What a tenant gets in ten hours: more than is asked before the test that uses it up. */
const TENANT_REQUESTS = 60;

let edge: GatewayWithMember;

beforeAll(async () => {
  edge = await startGatewayWithMember({
    env: {
      GATEWAY_CORS_ORIGINS: `${ORIGIN},https://other.example.com`,
      GATEWAY_HSTS_SECONDS: String(HSTS_SECONDS),
      GATEWAY_RATE_TENANT: `${TENANT_REQUESTS}/36000s`,
    },
  });
});
afterAll(() => edge?.[Symbol.asyncDispose]());

/** `fetch` of a browser: a script cannot set `origin` by itself, Node can. */
const preflight = (origin: string, path = QUERY) =>
  fetch(new URL(path, edge.http), {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,x-tenant-id,content-type',
    },
  });

interface Call {
  readonly token?: string;
  readonly tenant?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
const query = (origin: string, { token = edge.member.token, tenant = 'acme', path = QUERY, headers = {} }: Call = {}) =>
  ask(edge.http, path, { body: {}, token, tenant, headers: { origin, ...headers } });

/** Names of all headers by which a page is let in. */
const corsOf = (headers: Headers) => [...headers.keys()].filter((name) => name.startsWith('access-control-'));

describe('pages of a configured origin', () => {
  it('may ask before they call, without a token', async () => {
    const answer = await preflight(ORIGIN);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(answer.headers.get('access-control-allow-methods')).toContain('POST');
    const allowed = answer.headers.get('access-control-allow-headers')?.split(',');
    expect(allowed).toEqual(expect.arrayContaining(['authorization', 'x-tenant-id', 'content-type', 'x-grpc-web']));
    // Tokens are sent by hand: nothing that the browser adds by itself counts.
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
  });

  it.each<[status: number, what: string, call: () => Call]>([
    [200, 'an answer', () => ({})],
    [401, 'a refusal for want of a token', () => ({ token: 'x' })],
    [403, 'a refusal for want of a right', () => ({ tenant: 'globex' })],
    [404, 'that there is no such endpoint', () => ({ path: '/v1/nothing' })],
  ])('may read, with its ids: %i, %s', async (status, _, call) => {
    const answer = await query(ORIGIN, call());
    expect(answer.status).toBe(status);
    expectReadable(answer.headers);
  });

  it('are told nothing of headers too large: Envoy answers before it has read who asks', async () => {
    const headers = { 'x-large': 'x'.repeat(1_024 * LIMITS.requestHeadersMaxKilobytes) };
    const answer = await query(ORIGIN, { headers });
    expect([answer.status, corsOf(answer.headers)]).toEqual([431, []]);
  });
});

function expectReadable(headers: Headers): void {
  expect(headers.get('access-control-allow-origin')).toBe(ORIGIN);
  const exposed = headers.get('access-control-expose-headers')?.split(',');
  expect(exposed).toEqual(expect.arrayContaining(['x-correlation-id', 'x-request-id', 'x-decision-id']));
  expect(headers.get('access-control-allow-credentials')).toBeNull();
  expect(headers.get('vary')).toBe('origin');
}

describe('pages of other origins', () => {
  it.each([
    'null',
    'http://admin.example.com',
    'https://admin.example.com:8443',
    'https://admin.example.com.',
    'https://admin.example.com.evil.example',
    'https://admin.example.com@evil.example',
    'https://evil.example/https://admin.example.com',
    'https://evil.example?https://admin.example.com',
    'https://evil.example#https://admin.example.com',
    'https://xadmin.example.com',
    'https://x.admin.example.com',
    'https://admin-example.com',
    'https://adminXexample.com',
    'https://ADMIN.example.com',
    'https://admin.example.com https://evil.example',
    'https://admin.example.com,https://evil.example',
  ])('are allowed nothing, and caches told why: %s', async (origin) => {
    const asked = await preflight(origin);
    const answers = [
      await query(origin, { token: 'x' }),
      await query(origin, { path: '/v1/nothing' }),
      await query(origin),
    ];
    expect(asked.status).toBe(405);
    for (const { headers } of [asked, ...answers]) {
      expect([corsOf(headers), headers.get('vary')]).toEqual([[], 'origin']);
    }
  });

  it('are not let in beside one that is: two origins are none', async () => {
    const { hostname, port } = new URL(edge.http);
    const bytes = `OPTIONS ${QUERY} HTTP/1.1\r\nhost: ${hostname}:${port}\r\norigin: ${ORIGIN}\r\norigin: https://evil.example\r\naccess-control-request-method: POST\r\nconnection: close\r\n\r\n`;
    const { statuses, text } = await sendRaw(edge.http, bytes);
    expect(statuses).toEqual([405]);
    expect(text).not.toContain('access-control-');
  });
});

describe('strict transport', () => {
  it('is told over TLS, and not in clear, where it would mean nothing', async () => {
    const { https, ca } = edge.run;
    const session = connect(https, { ca: await readFile(ca) });
    const told = await new Promise((resolve, reject) => {
      session.on('error', reject);
      session
        .request({ ':path': '/health' })
        .on('response', (headers) => resolve(headers['strict-transport-security']));
    }).finally(() => session.destroy());
    expect(told).toBe(`max-age=${HSTS_SECONDS}`);
    expect((await ask(edge.http, '/health')).headers.get('strict-transport-security')).toBeNull();
  });
});

// The last: nobody asks this tenant anything behind it.
describe('limits', () => {
  it('let pages of a configured origin read that nothing is left, and when there is again', async () => {
    for (let sent = 0; sent <= TENANT_REQUESTS; sent += 1) {
      const answer = await query(ORIGIN);
      if (answer.status !== 429) continue;
      expectReadable(answer.headers);
      expect(answer.headers.get('access-control-expose-headers')?.split(',')).toContain('retry-after');
      expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
      return;
    }
    throw new Error('the tenant still has requests');
  });
});
