import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { CHECK_PATH, type ExtAuthzServerOptions, startExtAuthzServer } from '../../../src/authz/ext-authz/server.ts';
import {
  at,
  bearer,
  checkFixture,
  checkJson,
  decodeAnswer,
  encodeCheck,
  snapshotOf,
} from '../../support/check-fixture.ts';
import { silentLog } from '../../support/nats.ts';
import { until } from '../../support/wait.ts';

const same = (bytes: Buffer): Buffer => bytes;
const opened: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

async function serving(overrides: Partial<ExtAuthzServerOptions> = {}) {
  const fixture = checkFixture();
  const state = { canDecide: true };
  const server = await startExtAuthzServer({
    listen: { host: '127.0.0.1', port: 0 },
    check: fixture.check,
    routing: fixture.keeper,
    canDecide: () => state.canDecide,
    log: silentLog,
    ...overrides,
  });
  opened.push(server);
  const client = new Client(server.address, credentials.createInsecure());
  opened.push({ [Symbol.asyncDispose]: async () => client.close() });
  const call = (path: string, bytes: Buffer, deadlineMs = 10_000) =>
    new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(path, same, same, bytes, { deadline: Date.now() + deadlineMs }, (error, answer) => {
        if (error !== null || answer === undefined) reject(error);
        else resolve(answer);
      });
    });
  const request = (stamp = '7') =>
    encodeCheck(
      checkJson({
        headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme']],
        extensions: { stamp, target: 'projection' },
      }),
    );
  const check = async (bytes: Buffer) => JSON.stringify(decodeAnswer(await call(CHECK_PATH, bytes)));
  return { ...fixture, state, server, client, call, check, request };
}

describe('the ext_authz server', () => {
  it('answers with what the check answers', async () => {
    const { check, request } = await serving();
    expect(await check(request())).toContain('projection/s1');
    expect(await check(Buffer.from('rubbish'))).toContain('request_malformed');
  });

  it('holds a request until its routing revision is here', async () => {
    const { check, request, source, server } = await serving({ stampWaitMaxMs: 30_000 });
    const answer = check(request('8'));
    await until(() => server.waitingCount() === 1, { deadlineMs: 5_000, what: 'the request to wait' });
    source.push(snapshotOf(8, { acme: { projection: at('s9', 8) } }));
    expect(await answer).toContain('projection/s9');
    expect(server.waitingCount()).toBe(0);
  });

  it('denies when the revision does not come in time', async () => {
    const { check, request, server } = await serving();
    const startedAt = performance.now();
    expect(await check(request('8'))).toContain('routing_unavailable');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(LIMITS.stampWaitMaxMs - 5);
    expect(server.waitingCount()).toBe(0);
  });

  it('forgets a request whose caller went away', async () => {
    const { call, request, server } = await serving({ stampWaitMaxMs: 30_000 });
    await expect(call(CHECK_PATH, request('8'), 200)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await until(() => server.waitingCount() === 0, { deadlineMs: 5_000, what: 'the wait to end' });
  });

  it('takes no message longer than it may be', async () => {
    const { call } = await serving();
    await expect(call(CHECK_PATH, Buffer.alloc(LIMITS.checkRequestMaxBytes + 1))).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
  });

  it('survives a bug in the check: an error, which Envoy takes for a denial', async () => {
    const fail = () => {
      throw new Error('bug');
    };
    const { call, request } = await serving({ check: { check: fail, checkFinally: fail } });
    await expect(call(CHECK_PATH, request())).rejects.toMatchObject({ code: status.INTERNAL });
  });

  it('answers what waits when it stops', async () => {
    const { check, request, server } = await serving({ stampWaitMaxMs: 30_000 });
    const answer = check(request('8'));
    await until(() => server.waitingCount() === 1, { deadlineMs: 5_000, what: 'the request to wait' });
    await server[Symbol.asyncDispose]();
    expect(await answer).toContain('routing_unavailable');
  });
});

/** Leaves the socket file of a process that was killed. */
async function leaveStaleSocket(path: string): Promise<void> {
  const script = "require('node:net').createServer().listen(process.argv[1], () => console.log('up'))";
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('a Unix socket', () => {
  it('is taken over from a process that was killed, but from nobody alive', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gateway-authz-'));
    opened.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) });
    const path = join(folder, 'authz.sock');
    await leaveStaleSocket(path);
    expect(existsSync(path)).toBe(true);
    const { check, request, server } = await serving({ listen: { path } });
    expect(server.address).toBe(`unix:${path}`);
    expect(await check(request())).toContain('projection/s1');
    await expect(serving({ listen: { path } })).rejects.toThrow('another process listens');
    expect(await check(request())).toContain('projection/s1');
  });

  it('is not made in place of a file that is none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gateway-authz-'));
    opened.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) });
    const path = join(folder, 'file');
    await writeFile(path, 'precious');
    await expect(serving({ listen: { path } })).rejects.toThrow('is no socket');
    expect(existsSync(path)).toBe(true);
  });

  it('says when an address is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    opened.push({ [Symbol.asyncDispose]: async () => void other.close() });
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(serving({ listen: { host: '127.0.0.1', port } })).rejects.toThrow();
  });
});

const HEALTH = '/grpc.health.v1.Health';
const named = (service: string): Buffer => Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
const SERVING = Buffer.from([0x08, 1]);
const NOT_SERVING = Buffer.from([0x08, 2]);

describe('grpc.health.v1', () => {
  it('says whether decisions can be made', async () => {
    const { call, state, server } = await serving();
    expect(await call(`${HEALTH}/Check`, Buffer.alloc(0))).toEqual(SERVING);
    expect(await call(`${HEALTH}/Check`, named('envoy.service.auth.v3.Authorization'))).toEqual(SERVING);
    state.canDecide = false;
    expect(await call(`${HEALTH}/Check`, Buffer.alloc(0))).toEqual(NOT_SERVING);
    state.canDecide = true;
    const drained = server.drain();
    expect(await call(`${HEALTH}/Check`, Buffer.alloc(0))).toEqual(NOT_SERVING);
    await drained;
  });

  it('knows no other service, and no malformed question', async () => {
    const { call } = await serving();
    await expect(call(`${HEALTH}/Check`, named('other'))).rejects.toMatchObject({ code: status.NOT_FOUND });
    await expect(call(`${HEALTH}/Check`, Buffer.from([0x0a, 9]))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  it('tells those who watch of each change', async () => {
    const { client, state } = await serving();
    const seen: Buffer[] = [];
    const stream = client.makeServerStreamRequest(`${HEALTH}/Watch`, same, same, Buffer.alloc(0));
    stream.on('data', (bytes: Buffer) => seen.push(bytes));
    stream.on('error', () => {});
    await until(() => seen.length === 1, { deadlineMs: 5_000, what: 'the first status' });
    state.canDecide = false;
    await until(() => seen.length === 2, { deadlineMs: 5_000, what: 'the second status' });
    stream.cancel();
    expect(seen).toEqual([SERVING, NOT_SERVING]);
  });
});
