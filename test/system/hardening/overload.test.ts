import { readFile, rename, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ask, commandClient, metadataOf } from '../../support/edge-client.ts';
import { type RunningGateway, startGateway } from '../../support/launcher.ts';
import { until } from '../../support/wait.ts';

/**
 * The overload manager of the shipped bootstrap, driven to each of its limits. In the place of the heap stands a file that
 * says how full it is, under the same name: the actions and their thresholds are those that are shipped. One test has
 * the real monitor with a heap that is too small.
 */
const CONNECTIONS_MAX = 40;
const DEADLINE_MS = 30_000;
const CONNECTIONS = 'envoy.resource_monitors.global_downstream_max_connections';
const HEAP = 'envoy.resource_monitors.fixed_heap';

interface Bootstrap {
  readonly overload_manager: { readonly resource_monitors: { name: string; typed_config: Record<string, unknown> }[] };
}

let gateway: RunningGateway;
let http: string;
let pressureFile: string;
let shipped: string;

beforeAll(async () => {
  gateway = await startGateway();
  ({ http } = await gateway.run());
  pressureFile = join(gateway.dataFolder, 'envoy', 'pressure');
  shipped = await readFile(bootstrapFile(), 'utf8');
  await setPressure(0);
  await restartWith({
    [CONNECTIONS]: { max_active_downstream_connections: CONNECTIONS_MAX },
    [HEAP]: {
      '@type': 'type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig',
      filename: pressureFile,
    },
  });
  await untilServed();
});
afterEach(async () => {
  await setPressure(0);
  await untilServed();
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const bootstrapFile = () => join(gateway.dataFolder, 'envoy', 'bootstrap.json');

/** Starts Envoy anew with other settings of the monitors; whatever names a type is in the place of all that was there. */
async function restartWith(monitors: Readonly<Record<string, Readonly<Record<string, unknown>>>>): Promise<void> {
  const bootstrap = JSON.parse(shipped) as Bootstrap;
  for (const monitor of bootstrap.overload_manager.resource_monitors) {
    const own = monitors[monitor.name] ?? {};
    monitor.typed_config = '@type' in own ? { ...own } : { ...monitor.typed_config, ...own };
  }
  await writeFile(bootstrapFile(), JSON.stringify(bootstrap));
  await gateway.restarted('envoy', await gateway.kill('envoy'));
}

/** Envoy looks again when another file is moved there. */
async function setPressure(part: number): Promise<void> {
  await writeFile(`${pressureFile}.new`, String(part));
  await rename(`${pressureFile}.new`, pressureFile);
}

const untilServed = () =>
  until(async () => (await me()).status === 401, { deadlineMs: DEADLINE_MS, what: 'requests to be served' });

/** A request that the gateway decides itself: 401 for want of a token, when it takes requests. */
const me = () => ask(http, '/v1/auth/me', { headers: { connection: 'close' } });

/** Waits until requests are answered so, and gives the answer. */
const untilAnswered = (status: number) =>
  until(
    async () => {
      const answer = await me();
      return answer.status === status && answer;
    },
    { deadlineMs: DEADLINE_MS, what: `an answer of status ${status}` },
  );

/** One idle connection, and whether the gateway has closed it. */
function open(): { readonly socket: Socket; readonly closed: Promise<true>; isClosed: boolean } {
  const { hostname, port } = new URL(http);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  socket.resume();
  const { promise, resolve } = Promise.withResolvers<true>();
  const client = { socket, closed: promise, isClosed: false };
  socket.once('close', () => {
    client.isClosed = true;
    resolve(true);
  });
  return client;
}

describe('memory', () => {
  it('that is nearly used up: new requests are refused in our own words, and served again when there is some', async () => {
    await setPressure(0.96);
    const refused = await untilAnswered(503);
    expect(refused.body).toMatchObject({ type: 'urn:gateway:error:overloaded', status: 503, code: 'overloaded' });
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(refused.headers.get('x-correlation-id')).toBe(refused.body['correlation_id']);
    expect(refused.text).not.toMatch(/envoy/i);

    using client = commandClient(http);
    const { error } = await client.submit({ aggregate_type: 'order', aggregate_id: '1' }, metadataOf({}));
    expect([error?.code, error?.metadata.get('x-gateway-error')]).toEqual([14, ['overloaded']]);

    await setPressure(0);
    await untilServed();
  });

  it('that becomes scarce: connections end with their answer, and requests are served', async () => {
    const keepsOpen = async () => {
      const { hostname, port } = new URL(http);
      const socket = connect(Number(port), hostname);
      try {
        socket.write(`GET /v1/auth/me HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`);
        for await (const part of socket) {
          const text = String(part).toLowerCase();
          expect(text).toMatch(/^http\/1\.1 401/);
          return !text.includes('\r\nconnection: close\r\n');
        }
        return undefined;
      } finally {
        socket.destroy();
      }
    };
    expect(await keepsOpen()).toBe(true);
    await setPressure(0.93);
    await until(async () => (await keepsOpen()) === false, { deadlineMs: DEADLINE_MS, what: 'connections to end' });
  });

  it('that is used up: new connections are closed at once', async () => {
    await setPressure(0.99);
    await until(
      async () => {
        const client = open();
        const late = Promise.withResolvers<false>();
        const timer = setTimeout(() => late.resolve(false), 500);
        const isClosed = await Promise.race([client.closed, late.promise]);
        clearTimeout(timer);
        client.socket.destroy();
        return isClosed;
      },
      { deadlineMs: DEADLINE_MS, what: 'a new connection to be closed' },
    );
  });
});

describe('connections', () => {
  it('beyond the limit are closed, those that are there are served, and there is room again when some have gone', async () => {
    const kept = open();
    const clients = Array.from({ length: 2 * CONNECTIONS_MAX }, open);
    try {
      await until(() => clients.filter((client) => client.isClosed).length >= CONNECTIONS_MAX, {
        deadlineMs: DEADLINE_MS,
        what: 'connections to be refused',
      });
      expect(clients.filter((client) => !client.isClosed).length).toBeGreaterThan(0);
      const answered = new Promise<string>((resolve) => kept.socket.once('data', (part) => resolve(String(part))));
      kept.socket.write('GET /v1/auth/me HTTP/1.1\r\nhost: a\r\n\r\n');
      expect(await answered).toMatch(/^HTTP\/1\.1 401/);
    } finally {
      for (const { socket } of [kept, ...clients]) socket.destroy();
    }
    await untilServed();
  });
});

describe('the real monitor of the heap', () => {
  it('sees that Envoy holds more than it may, and that it does not', async () => {
    // What Envoy needs to know the routes at all is more than this.
    await restartWith({ [HEAP]: { max_heap_size_bytes: 12 * 1_048_576 } });
    await untilStat('envoy.overload_actions.stop_accepting_requests.active', (value) => value === 1);
    await restartWith({});
    await untilServed();
    await untilStat('envoy.resource_monitors.fixed_heap.pressure', (percent) => percent > 0 && percent < 80);
    await untilStat('envoy.overload_actions.stop_accepting_requests.active', (value) => value === 0);
  });
});

const untilStat = (name: string, holds: (value: number) => boolean) =>
  until(
    async () => {
      const { envoyAdmin } = await gateway.run();
      const stats = await (await fetch(`${envoyAdmin}/stats?filter=^overload`)).text();
      const line = stats.split('\n').find((each) => each.startsWith(`overload.${name}: `));
      return line !== undefined && holds(Number(line.split(': ')[1]));
    },
    { deadlineMs: DEADLINE_MS, what: `overload.${name}` },
  );
