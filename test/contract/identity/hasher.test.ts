import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHasherClient } from '#adapters/hasher/hasher-client.ts';
import { LIMITS } from '#domain/limits.ts';
import { ENGINE_NAMES, loadEngine } from '../../../src/hasher/engines.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/wait.ts';

const MAIN = join(import.meta.dirname, '../../../src/hasher/main.ts');

/** The real hasher process of one test. */
async function startHasher(socket: string) {
  const child = spawn(process.execPath, [MAIN], {
    env: { ...process.env, GATEWAY_HASHER_SOCKET: socket, GATEWAY_LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => lines.push(chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => lines.push(chunk.toString('utf8')));
  const stop = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    return child.exitCode;
  };
  await until(() => lines.join('').includes('"ready"') || child.exitCode !== null, {
    deadlineMs: 20_000,
    what: 'the hasher to be ready',
  });
  return {
    child,
    stop,
    output: () => lines.join(''),
    [Symbol.asyncDispose]: async () => {
      await stop('SIGKILL');
    },
  };
}

describe('the implementations of Argon2id', () => {
  it('each verify what the others made, and nothing else', async () => {
    const engines = await Promise.all(ENGINE_NAMES.map((name) => loadEngine([name])));
    expect(engines.map((engine) => engine.name)).toEqual([...ENGINE_NAMES]);
    for (const maker of engines) {
      const hash = await maker.hash('pässwörd 🔑');
      expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
      for (const verifier of engines) {
        expect([maker.name, verifier.name, await verifier.verify(hash, 'pässwörd 🔑')]).toEqual([
          maker.name,
          verifier.name,
          true,
        ]);
        expect(await verifier.verify(hash, 'pässwörd')).toBe(false);
        expect(await verifier.verify('$2b$10$abcdefghijklmnopqrstuv', 'x')).toBe(false);
        expect(await verifier.verify(hash.replace('m=19456', 'm=1048576'), 'x')).toBe(false);
      }
    }
  });
});

describe('the hasher process', () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  let socket: string;
  let hasher: Awaited<ReturnType<typeof startHasher>>;
  beforeAll(async () => {
    folder = await tempFolder();
    socket = join(folder.path, 'hasher.sock');
    hasher = await startHasher(socket);
  });
  afterAll(async () => {
    await hasher[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  it('hashes and verifies, for its own user only, with low priority', async () => {
    using client = createHasherClient({ socketPath: socket });
    const hash = await client.hash('violet-kettle');
    if (!hash.ok) throw new Error(hash.error.detail);
    expect(await client.verify('violet-kettle', hash.value)).toEqual({
      ok: true,
      value: { matches: true, outdated: false },
    });
    expect(await client.verify('violet-kettlE', hash.value)).toEqual({
      ok: true,
      value: { matches: false, outdated: false },
    });
    expect(await client.verify('no account has this password', undefined)).toEqual({
      ok: true,
      value: { matches: false, outdated: false },
    });
    const weak = '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$7LEy6S6MA1bD6SLTzqmAfQ';
    expect((await client.verify('x', weak)).ok).toBe(true);
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    expect(getPriority(hasher.child.pid)).toBe(10);
    expect(hasher.output()).not.toContain('violet');
  });

  it('refuses what does not fit into its queue, at once, and serves the rest', async () => {
    using client = createHasherClient({ socketPath: socket });
    const wanted = LIMITS.hashQueueMaxCount + 40;
    const answers = await Promise.all(Array.from({ length: wanted }, () => client.hash('violet-kettle')));
    const refused = answers.filter((answer) => !answer.ok);
    expect(refused.length).toBeGreaterThan(0);
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(LIMITS.hashQueueMaxCount);
    for (const answer of refused) {
      expect(answer).toMatchObject({ error: { code: 'overloaded', retryAfterSeconds: 1 } });
    }
  });

  it('answers nonsense with an error and lives on', async () => {
    for (const [path, body, status] of [
      ['/hash', '{', 400],
      ['/hash', '{"password":1}', 400],
      ['/verify', '{"password":"x","hash":5}', 400],
      ['/other', '{}', 404],
      ['/hash', `{"password":"${'x'.repeat(20_000)}"}`, 413],
    ] as const) {
      expect([path, await statusOf(socket, path, body)]).toEqual([path, status]);
    }
    expect(await statusOf(socket, '/hash', '{"password":"violet-kettle"}')).toBe(200);
  });

  it('is found again after a crash, and its absence is no verdict about a password', async () => {
    using client = createHasherClient({ socketPath: socket });
    expect((await client.hash('violet-kettle')).ok).toBe(true);
    await hasher.stop('SIGKILL');
    expect(await client.verify('violet-kettle', undefined)).toMatchObject({ ok: false, error: { code: 'overloaded' } });
    hasher = await startHasher(socket);
    expect((await client.hash('violet-kettle')).ok).toBe(true);
    expect(await hasher.stop('SIGTERM')).toBe(0);
  });

  it('does not take a place that is taken', async () => {
    const file = join(folder.path, 'file');
    await writeFile(file, 'precious');
    await using refused = await startHasher(file);
    expect(refused.child.exitCode).toBe(1);
    expect(refused.output()).toContain('is no socket');
  });
});

function statusOf(socketPath: string, path: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, method: 'POST', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
