import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type GatewayWithMember, startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import { type ListenerClient, listenerClients } from './listener-clients.ts';

/** Envoy's administration, by which everything can be read and ended: for whoever is on the machine, and nobody else. */
const CONNECT_TIMEOUT_MS = 2_000;

let edge: GatewayWithMember;
let clients: readonly ListenerClient[];

beforeAll(async () => {
  edge = await startGatewayWithMember();
  clients = await listenerClients(edge.run);
});
afterAll(() => edge?.[Symbol.asyncDispose]());

const adminAddress = () => new URL(edge.run.envoyAdmin);

it('is a socket of the file system as shipped, for its owner alone', async () => {
  const file = fileURLToPath(new URL('../../../envoy/bootstrap.yaml', import.meta.url));
  const { admin } = Object(parse(await readFile(file, 'utf8')));
  expect(admin.address).toEqual({ pipe: { path: expect.stringMatching(/^\/run\//), mode: 0o600 } });
});

describe('in development', () => {
  it('answers on 127.0.0.1', async () => {
    expect(adminAddress().hostname).toBe('127.0.0.1');
    expect(await opens('127.0.0.1')).toBe(true);
    expect((await fetch(`${edge.run.envoyAdmin}/server_info`)).status).toBe(200);
  });

  it('answers on no other address of the machine, of either family', async () => {
    const own = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .map(({ address, scopeid }) => (scopeid === undefined || scopeid === 0 ? address : `${address}%${scopeid}`));
    const others = new Set([...own.filter((address) => address !== '127.0.0.1'), '127.0.0.2', '::1', '::']);
    expect(others.size).toBeGreaterThan(0);
    for (const address of others) expect([address, await opens(address)]).toEqual([address, false]);
  });

  it.runIf(process.platform === 'linux')('is bound there alone, says the kernel', async () => {
    const port = Number(adminAddress().port);
    expect([await boundTo('tcp', port), await boundTo('tcp6', port)]).toEqual([['0100007F'], []]);
  });
});

/** Whether the admin port takes a connection at this address. */
function opens(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(Number(adminAddress().port), address);
    const finish = (opened: boolean) => {
      socket.destroy();
      resolve(opened);
    };
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => finish(false));
  });
}

/** Addresses at which somebody listens on the port, in the kernel's notation (proc(5)). */
async function boundTo(family: 'tcp' | 'tcp6', port: number): Promise<string[]> {
  const LISTEN = '0A';
  // A machine without IPv6 has no such file.
  const table = await readFile(`/proc/net/${family}`, 'utf8').catch(() => '');
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === LISTEN)
    .map(([, local = '']) => local.split(':'))
    .filter(([, hexadecimal = '']) => Number.parseInt(hexadecimal, 16) === port)
    .map(([address = '']) => address);
}

describe('is not on the listeners', () => {
  it.each([
    ...['/config_dump', '/server_info', '/stats', '/stats/prometheus', '/clusters', '/listeners', '/certs', '/logging'],
    ...['/runtime', '/runtime_modify', '/quitquitquit', '/drain_listeners', '/healthcheck/fail', '/reset_counters'],
  ])('%s', async (path) => {
    const headers = { authorization: `Bearer ${edge.admin.token}`, 'x-tenant-id': 'acme' };
    for (const method of ['GET', 'POST']) {
      for (const client of clients) {
        const { status, text } = await client.send({ method, path, headers });
        expect([client.name, status, JSON.parse(text).code]).toEqual([client.name, 404, 'not_found']);
      }
    }
  });

  it('and none of these has done anything', async () => {
    expect(await (await fetch(`${edge.run.envoyAdmin}/ready`)).text()).toBe('LIVE\n');
  });
});
