import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { ask } from '../../support/edge-client.ts';
import { type GatewayWithMember, startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import { until } from '../../support/wait.ts';
import { bystander } from './bystander.ts';

/** Clients that are slow on purpose (CWE-400). */
const CLIENTS = 200;
/** `request_headers_timeout` of the listeners. */
const HEADERS_TIMEOUT_MS = 10_000;
const MARGIN_MS = 5_000;
const DEADLINE_MS = 20_000;
const DEAF_CLIENTS = 5;
/** Whose answers together are more than a connection's window of Envoy's own (24 MiB) for each worker. */
const DEAF_OVER_HTTP2 = 40;
/** The runner echoes it as JSON: six bytes for each. */
const ECHOED_BYTES = 1_000_000;
const ANSWER_BYTES = 6 * ECHOED_BYTES;
/** Two connections (`connectionBufferMaxBytes`), and what is on its way between them. */
const HELD_MAX_BYTES = 200_000;

let edge: GatewayWithMember;

beforeAll(async () => {
  // The runner echoes bodies, which makes for large answers.
  edge = await startGatewayWithMember({ role: 'tenant-admin' });
});
afterAll(() => edge?.[Symbol.asyncDispose]());

const request = (more = '', path = '/v1/query/orders') =>
  `POST ${path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${edge.member.token}\r\nx-tenant-id: acme\r\n${more}`;

function open(): Socket {
  const { hostname, port } = new URL(edge.http);
  return connect(Number(port), hostname).on('error', () => undefined);
}

interface Dripping extends Disposable {
  /** What came back, and how long the connection lasted. */
  readonly over: Promise<{ readonly text: string; readonly tookMs: number }>;
}

/** Sends the beginning, then one byte a second. */
function drip(beginning: string): Dripping {
  const start = performance.now();
  let text = '';
  const socket = open();
  socket.write(beginning);
  const timer = setInterval(() => socket.write('a'), 1_000);
  const { promise, resolve } = Promise.withResolvers<{ text: string; tookMs: number }>();
  socket.on('data', (part) => {
    text += String(part);
  });
  socket.on('close', () => {
    clearInterval(timer);
    resolve({ text, tookMs: performance.now() - start });
  });
  return { over: promise, [Symbol.dispose]: () => socket.destroy() };
}

const untilStat = (name: string, holds: (value: number) => boolean) =>
  until(async () => holds(await edge.stat(name)), { deadlineMs: DEADLINE_MS, what: name });

/** Each asks the runner for a large answer, and takes nothing of it. */
function askWithoutListening(stack: DisposableStack, count: number): readonly Socket[] {
  const body = '\x01'.repeat(ECHOED_BYTES);
  return Array.from({ length: count }, () => {
    const socket = stack.adopt(open(), (each) => each.destroy());
    socket.pause();
    socket.write(request(`content-length: ${body.length}\r\n\r\n${body}`, '/admin/runner/echo'));
    return socket;
  });
}

/** Makes a shard speak HTTP/2, where the requests of all tenants share a connection. */
async function publishHttp2Runner(): Promise<void> {
  const { http, admin } = edge;
  const { body: routing } = await ask(http, '/admin/routing?include=document', { token: admin.token });
  const { runner_shards: shards, ...document } = Object(routing['document']);
  const body = { ...document, runner_shards: { ...shards, s1: { ...shards.s1, protocol: 'h2' } } };
  const published = await ask(http, '/admin/routing/revisions', { token: admin.token, body });
  expect(published.status, published.text).toBe(200);
  await until(
    async () => {
      await bystander(edge, '/admin/runner/echo');
      return (await edge.stat('cluster.runner/s1.upstream_cx_http2_total')) > 0;
    },
    { deadlineMs: DEADLINE_MS, what: 'the runner to be asked by HTTP/2' },
  );
}

describe('slow clients', () => {
  it('have so long for their headers, however steadily they send, and keep nobody waiting', async () => {
    using stack = new DisposableStack();
    const clients = Array.from({ length: CLIENTS }, () => stack.use(drip(request('x-slow: '))));
    await bystander(edge);
    const over = await Promise.all(clients.map((client) => client.over));
    await bystander(edge);
    for (const { text, tookMs } of over) {
      expect(text === '' || text.startsWith('HTTP/1.1 408')).toBe(true);
      expect(tookMs).toBeLessThan(HEADERS_TIMEOUT_MS + MARGIN_MS);
      expect(tookMs).toBeGreaterThan(HEADERS_TIMEOUT_MS - MARGIN_MS);
    }
  });

  it('with slow bodies keep nobody waiting', async () => {
    using stack = new DisposableStack();
    for (let index = 0; index < CLIENTS; index += 1) stack.use(drip(request('content-length: 1000\r\n\r\n')));
    await untilStat('http.edge.downstream_rq_active', (count) => count >= CLIENTS);
    for (let round = 0; round < 10; round += 1) await bystander(edge);
  });

  it('that take no answers make the gateway read no more of them for a while, and get them whole if they do in time', async () => {
    using stack = new DisposableStack();
    const start = performance.now();
    const before = await edge.stat('cluster.runner/s1.upstream_flow_control_backed_up_total');
    const deaf = askWithoutListening(stack, DEAF_CLIENTS);
    // Each has been held back, and Envoy waits with a part of each answer for somebody to take it.
    await untilStat('cluster.runner/s1.upstream_flow_control_backed_up_total', (all) => all >= before + DEAF_CLIENTS);
    await untilStat('http.edge.downstream_cx_tx_bytes_buffered', (bytes) => bytes > 0);
    for (let round = 0; round < 10; round += 1) await bystander(edge);
    const held = [
      await edge.stat('http.edge.downstream_cx_tx_bytes_buffered'),
      await edge.stat('cluster.runner/s1.upstream_cx_rx_bytes_buffered'),
    ];
    for (const bytes of held) expect(bytes).toBeLessThan(DEAF_CLIENTS * HELD_MAX_BYTES);

    const [patient] = deaf;
    let received = 0;
    patient?.on('data', (part) => {
      received += part.length;
    });
    patient?.resume();
    await until(() => received > ANSWER_BYTES, { deadlineMs: DEADLINE_MS, what: 'the whole answer' });
    // The others are waited for as long as a shard has for its answer.
    await untilStat('http.edge.downstream_cx_tx_bytes_buffered', (bytes) => bytes === 0);
    expect(performance.now() - start).toBeGreaterThan(LIMITS.upstreamTimeoutMs - MARGIN_MS);
  });

  it('that take no answers do not stop those of others on one connection to a shard', async () => {
    await publishHttp2Runner();
    using stack = new DisposableStack();
    const before = await edge.stat('cluster.runner/s1.upstream_rq_total');
    askWithoutListening(stack, DEAF_OVER_HTTP2);
    await untilStat('cluster.runner/s1.upstream_rq_total', (all) => all >= before + DEAF_OVER_HTTP2);
    await untilStat('cluster.runner/s1.upstream_rq_active', (count) => count >= DEAF_OVER_HTTP2);
    for (let round = 0; round < 10; round += 1) await bystander(edge, '/admin/runner/echo');
    // They still wait.
    expect(await edge.stat('cluster.runner/s1.upstream_rq_active')).toBeGreaterThanOrEqual(DEAF_OVER_HTTP2);
  });
});
