import { readFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, assign, bootstrapAdmin, type Person, signUp } from '../../support/edge-client.ts';
import { type RunningGateway, startGateway } from '../../support/launcher.ts';

const ORIGIN = 'https://admin.example.com';
const HSTS_SECONDS = 600;
const QUERY = '/v1/query/orders';

let gateway: RunningGateway;
let http: string;
let member: Person;

beforeAll(async () => {
  gateway = await startGateway({
    env: { GATEWAY_CORS_ORIGINS: `${ORIGIN},https://other.example.com`, GATEWAY_HSTS_SECONDS: String(HSTS_SECONDS) },
  });
  ({ http } = await gateway.run());
  const admin = await bootstrapAdmin(gateway);
  member = await signUp(http, 'member@example.com');
  await assign(http, admin, member, 'acme', 'tenant-member');
});
afterAll(() => gateway[Symbol.asyncDispose]());

/** `fetch` of a browser: a script cannot set `origin` by itself, Node can. */
const preflight = (origin: string, path = QUERY) =>
  fetch(new URL(path, http), {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,x-tenant-id,content-type',
    },
  });

const query = (origin: string, token = member.token) =>
  ask(http, QUERY, { body: {}, headers: { origin, authorization: `Bearer ${token}`, 'x-tenant-id': 'acme' } });

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

  it('may read answers and errors, with their ids', async () => {
    for (const [answer, status] of [
      [await query(ORIGIN), 200],
      [await query(ORIGIN, 'x'), 401],
    ] as const) {
      expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([status, ORIGIN]);
      const exposed = answer.headers.get('access-control-expose-headers')?.split(',');
      expect(exposed).toEqual(expect.arrayContaining(['x-correlation-id', 'x-request-id', 'x-decision-id']));
      expect(answer.headers.get('vary')).toBe('origin');
    }
  });
});

describe('pages of other origins', () => {
  it.each([
    'null',
    'http://admin.example.com',
    'https://admin.example.com:8443',
    'https://admin.example.com.evil.example',
    'https://evil.example/https://admin.example.com',
    'https://xadmin.example.com',
    'https://ADMIN.example.com',
  ])('are allowed nothing: %s', async (origin) => {
    for (const headers of [(await preflight(origin)).headers, (await query(origin)).headers]) {
      expect([...headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
    }
  });
});

describe('strict transport', () => {
  it('is told over TLS, and not in clear, where it would mean nothing', async () => {
    const { https, ca } = await gateway.run();
    const session = connect(https, { ca: await readFile(ca) });
    const told = await new Promise((resolve, reject) => {
      session.on('error', reject);
      session
        .request({ ':path': '/health' })
        .on('response', (headers) => resolve(headers['strict-transport-security']));
    }).finally(() => session.destroy());
    expect(told).toBe(`max-age=${HSTS_SECONDS}`);
    expect((await ask(http, '/health')).headers.get('strict-transport-security')).toBeNull();
  });
});
