import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ask, assign, bootstrapAdmin, type Person, signUp } from '../../support/edge-client.ts';
import { type RunningGateway, startGateway } from '../../support/launcher.ts';

/** Clients that are slow on purpose (CWE-400), and those that look for what is not theirs. */
const CLIENTS = 200;
/** `request_headers_timeout` of the listeners. */
const HEADERS_TIMEOUT_MS = 10_000;
const MARGIN_MS = 5_000;
const BYSTANDER_MAX_MS = 2_000;

let gateway: RunningGateway;
let http: string;
let member: Person;

beforeAll(async () => {
  gateway = await startGateway();
  ({ http } = await gateway.run());
  const admin = await bootstrapAdmin(gateway);
  member = await signUp(http, 'member@example.com');
  await assign(http, admin, member, 'acme', 'tenant-member');
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const request = (more = '') =>
  `POST /v1/query/orders HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${member.token}\r\nx-tenant-id: acme\r\n${more}`;

async function bystander(): Promise<void> {
  const start = performance.now();
  const answer = await ask(http, '/v1/query/orders', { body: {}, token: member.token, tenant: 'acme' });
  expect(answer.status).toBe(200);
  expect(performance.now() - start).toBeLessThan(BYSTANDER_MAX_MS);
}

/** Sends the beginning, then one byte a second. @returns what came back, and how long the connection lasted */
function drip(beginning: string): { readonly over: Promise<{ text: string; tookMs: number }>; end(): void } {
  const { hostname, port } = new URL(http);
  const start = performance.now();
  let text = '';
  const socket = connect(Number(port), hostname, () => socket.write(beginning));
  const timer = setInterval(() => socket.write('a'), 1_000);
  const { promise, resolve } = Promise.withResolvers<{ text: string; tookMs: number }>();
  socket.on('data', (part) => {
    text += String(part);
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    clearInterval(timer);
    resolve({ text, tookMs: performance.now() - start });
  });
  return { over: promise, end: () => socket.destroy() };
}

describe('slow clients', () => {
  it('have so long for their headers, however steadily they send, and keep nobody waiting', async () => {
    const clients = Array.from({ length: CLIENTS }, () => drip(request('x-slow: ')));
    await bystander();
    const over = await Promise.all(clients.map((client) => client.over));
    await bystander();
    for (const { text, tookMs } of over) {
      expect(text === '' || text.startsWith('HTTP/1.1 408')).toBe(true);
      expect(tookMs).toBeLessThan(HEADERS_TIMEOUT_MS + MARGIN_MS);
      expect(tookMs).toBeGreaterThan(HEADERS_TIMEOUT_MS - MARGIN_MS);
    }
  });

  it('with slow bodies, and those that take no answers, keep nobody waiting', async () => {
    const slow = Array.from({ length: CLIENTS }, () => drip(request('content-length: 1000\r\n\r\n')));
    const { hostname, port } = new URL(http);
    const deaf = Array.from({ length: 20 }, () => {
      const socket = connect(Number(port), hostname).on('error', () => undefined);
      socket.pause();
      const body = JSON.stringify({ padding: 'x'.repeat(50_000) });
      const whole = `${request(`content-length: ${body.length}\r\n\r\n`)}${body}`;
      socket.write(whole.repeat(20));
      return socket;
    });
    for (let round = 0; round < 10; round += 1) await bystander();
    for (const client of slow) client.end();
    for (const socket of deaf) socket.destroy();
  });
});

describe("Envoy's administration", () => {
  it('is a socket of the file system as shipped, for its owner alone', async () => {
    const file = fileURLToPath(new URL('../../../envoy/bootstrap.yaml', import.meta.url));
    const { admin } = Object(parse(await readFile(file, 'utf8')));
    expect(admin.address).toEqual({ pipe: { path: expect.stringMatching(/^\/run\//), mode: 0o600 } });
  });

  it('is on loopback in development, and nowhere else', async () => {
    const { hostname, port } = new URL((await gateway.run()).envoyAdmin);
    expect(hostname).toBe('127.0.0.1');
    const others = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, family }) => !internal && family === 'IPv4');
    for (const { address } of others) {
      const opened = await new Promise((resolve) => {
        const socket = connect(Number(port), address, () => resolve(true)).on('error', () => resolve(false));
        socket.setTimeout(BYSTANDER_MAX_MS, () => resolve(false));
        socket.once('close', () => socket.destroy());
      });
      expect([address, opened]).toEqual([address, false]);
    }
  });

  it.each([
    '/stats',
    '/config_dump',
    '/clusters',
    '/quitquitquit',
    '/drain_listeners',
    '/healthcheck/fail',
    '/runtime_modify',
  ])('is not on the listeners: %s', async (path) => {
    for (const method of ['GET', 'POST']) {
      const answer = await ask(http, path, { method, token: member.token, headers: { host: '127.0.0.1' } });
      expect([answer.status, answer.body['code']]).toEqual([404, 'not_found']);
    }
  });
});
