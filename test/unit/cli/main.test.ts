import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { makeAuthority, makeServerCertificate } from '../../../src/launcher/data/make-certificates.ts';
import { type Run, startLocalApi, type TempFolder, tempFolder } from './harness.ts';

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/** Runs the program itself, under plain Node, in an environment that holds nothing of the machine's. */
function runProgram(
  words: readonly string[],
  options: { readonly folder: TempFolder; readonly env?: Record<string, string>; readonly input?: string },
): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...words], {
      cwd: options.folder.path,
      env: { XDG_CONFIG_HOME: options.folder.path, HOME: options.folder.path, ...options.env },
    });
    const printed = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed.out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      printed.err += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, ...printed }));
    child.stdin.end(options.input ?? '');
  });
}

describe('gatewayctl as a process', () => {
  test('finds the development gateway by GATEWAY_DATA, signs in, and the next command is signed in', async () => {
    await using folder = await tempFolder();
    await using api = await startLocalApi(({ path }) => {
      if (path === '/v1/auth/bootstrap') return { status: 201, body: { user_id: 'usr_1' } };
      if (path === '/v1/auth/signin') return { body: { access_token: 'at', expires_in: 600, refresh_token: 'rt' } };
      return { body: { user_id: 'usr_1', email: 'root@example.com', memberships: [] } };
    });
    const data = join(folder.path, 'data');
    await mkdir(data);
    await writeFile(join(data, 'run.json'), JSON.stringify({ http: api.url, bootstrapToken: 'boot' }));
    const env = { GATEWAY_DATA: data };
    const boot = await runProgram(['admin', 'bootstrap', '--email', 'root@example.com', '--password-stdin'], {
      folder,
      env,
      input: 'a password\n',
    });
    expect(boot).toMatchObject({ code: 0, err: '' });
    const me = await runProgram(['whoami', '--json'], { folder, env });
    expect(me).toMatchObject({ code: 0, err: '' });
    expect(JSON.parse(me.out)).toMatchObject({ user_id: 'usr_1' });
    const asked = api.seen
      .filter(({ path }) => path !== '/health')
      .map(({ path, authorization }) => [path, authorization]);
    expect(asked).toEqual([
      ['/v1/auth/bootstrap', undefined],
      ['/v1/auth/signin', undefined],
      ['/v1/auth/me', 'Bearer at'],
    ]);
  });

  test('GATEWAY_URL and GATEWAY_TOKEN are enough; a pipe gets no colours', async () => {
    await using folder = await tempFolder();
    await using api = await startLocalApi(() => ({ body: { items: [], next_cursor: null } }));
    const env = { GATEWAY_URL: api.url, GATEWAY_TOKEN: 'given' };
    const run = await runProgram(['users', 'list'], { folder, env });
    expect(run).toEqual({ code: 0, out: '(none)\n', err: '' });
    expect(api.seen[0]?.authorization).toBe('Bearer given');
  });

  test.each([
    [['routing', 'push'], 2],
    [['nonsense'], 2],
    [['status'], 3],
    [['--version'], 2],
    [['version'], 0],
  ] as const)('%j ends with %i', async (words, code) => {
    await using folder = await tempFolder();
    const run = await runProgram(words, { folder, env: { GATEWAY_DATA: folder.path } });
    expect(run.code).toBe(code);
    expect(run.err).not.toContain('    at ');
  });

  test('a reader that goes away early is no failure', async () => {
    await using folder = await tempFolder();
    await using api = await startLocalApi(() => ({
      body: { items: Array.from({ length: 100 }, () => ({ id: 'x' })) },
    }));
    const child = spawn(process.execPath, [MAIN, 'users', 'list'], {
      cwd: folder.path,
      env: { GATEWAY_URL: api.url, GATEWAY_TOKEN: 't' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  test('the development CA is trusted with --ca, and asked for without', async () => {
    await using folder = await tempFolder();
    const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
    const authority = await makeAuthority(validity);
    const { certificate, key } = await makeServerCertificate(authority, validity);
    const server = createServer({ cert: certificate, key }, (_request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end('{"status":"ok"}');
    });
    try {
      const env = { GATEWAY_URL: `https://127.0.0.1:${await listen(server)}` };
      const ca = join(folder.path, 'ca.pem');
      await writeFile(ca, authority.certificate);
      const distrusted = await runProgram(['status'], { folder, env });
      expect(distrusted.code).toBe(3);
      expect(distrusted.err).toContain('name its authority with --ca FILE');
      expect(await runProgram(['status', '--ca', ca], { folder, env })).toMatchObject({ code: 0, err: '' });
      expect((await runProgram(['status', '--ca', 'missing.pem'], { folder, env })).code).toBe(2);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('no port'));
      else resolve(address.port);
    });
  });
}
