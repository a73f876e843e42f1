import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createTokenStore } from '../../../src/cli/token-store.ts';
import { type Answer, type Handler, type Run, runCli, type SeenRequest, startLocalApi, tempFolder } from './harness.ts';

const TOKENS: Answer = { body: { access_token: 'at', token_type: 'Bearer', expires_in: 600, refresh_token: 'rt' } };

/** Runs one call with a token against an API that gives one answer to everything. */
async function ask(
  words: readonly string[],
  answer: Answer | Handler,
  input?: string,
): Promise<Run & { readonly seen: readonly SeenRequest[] }> {
  await using api = await startLocalApi(typeof answer === 'function' ? answer : () => answer);
  const run = await runCli(words, { url: api.url, token: 'token', ...(input === undefined ? {} : { input }) });
  return { ...run, seen: api.seen };
}

describe('admin bootstrap', () => {
  const words = ['admin', 'bootstrap', '--email', 'root@example.com'];
  const handler: Handler = ({ path }) =>
    path === '/v1/auth/bootstrap' ? { status: 201, body: { user_id: 'usr_1' } } : TOKENS;

  test('makes a password, prints it once and leaves a sign-in behind', async () => {
    await using folder = await tempFolder();
    const tokens = createTokenStore(folder.path);
    await using api = await startLocalApi(handler);
    const { code, out } = await runCli(words, { url: api.url, tokens, bootstrapToken: 'boot' });
    expect(code).toBe(0);
    const password = /password +([A-Za-z0-9_-]{24}) /.exec(out)?.[1];
    const who = { email: 'root@example.com', password };
    expect(api.seen.map(({ path, body }) => [path, body])).toEqual([
      ['/v1/auth/bootstrap', { bootstrap_token: 'boot', ...who }],
      ['/v1/auth/signin', who],
    ]);
    expect(await tokens.load(api.url)).toMatchObject({ email: 'root@example.com', refreshToken: 'rt' });
  });

  test('makes a different password each time', async () => {
    await using folder = await tempFolder();
    await using api = await startLocalApi(handler);
    const options = { url: api.url, tokens: createTokenStore(folder.path), bootstrapToken: 'boot' };
    const [first, second] = [await runCli([...words, '--json'], options), await runCli([...words, '--json'], options)];
    expect(JSON.parse(first.out)).toMatchObject({ user_id: 'usr_1', signed_in: true });
    expect(JSON.parse(first.out)).not.toEqual(JSON.parse(second.out));
  });

  test('a given password is never printed', async () => {
    await using folder = await tempFolder();
    await using api = await startLocalApi(handler);
    const options = { url: api.url, tokens: createTokenStore(folder.path), input: 'my own password\n' };
    const { code, out, err } = await runCli([...words, '--password-stdin', '--token', 'given'], options);
    expect(code).toBe(0);
    expect(out + err).not.toContain('my own password');
    expect(api.seen[0]?.body).toMatchObject({ bootstrap_token: 'given', password: 'my own password' });
  });

  test('the password is printed even when signing in fails: the account stands', async () => {
    await using folder = await tempFolder();
    await using api = await startLocalApi((request) =>
      request.path === '/v1/auth/signin'
        ? { status: 503, body: { title: 'Away', code: 'storage_unavailable' } }
        : handler(request),
    );
    const { code, out } = await runCli(words, {
      url: api.url,
      tokens: createTokenStore(folder.path),
      bootstrapToken: 'b',
    });
    expect(code).toBe(1);
    expect(out).toMatch(/password +[A-Za-z0-9_-]{24} /);
    expect(out).toContain('gatewayctl login --email root@example.com');
  });

  test('a lost answer does not lose the password', async () => {
    const api = await startLocalApi(() => ({}));
    await api[Symbol.asyncDispose]();
    const { code, err } = await runCli(words, { url: api.url, bootstrapToken: 'b' });
    expect(code).toBe(3);
    expect(err).toMatch(/its password is [A-Za-z0-9_-]{24}\n/);
  });

  test('without a token nothing is sent', async () => {
    await using api = await startLocalApi(handler);
    const { code, err } = await runCli(words, { url: api.url });
    expect(code).toBe(2);
    expect(err).toContain('--token is missing');
    expect(api.seen).toEqual([]);
  });
});

describe('assignments', () => {
  const created: Answer = { status: 201, body: { id: 'asg_1', revision: 9, applied: 'all' } };

  test('create looks the address up and sends the id', async () => {
    const { code, out, seen } = await ask(
      ['assignments', 'create', '--user', 'Ann@Example.com', '--tenant', 'acme', '--role', 'tenant-member'],
      ({ method }) =>
        method === 'POST'
          ? created
          : {
              body: {
                items: [
                  { id: 'usr_9', email: 'xann@example.com' },
                  { id: 'usr_1', email: 'ann@example.com' },
                ],
              },
            },
    );
    expect(code).toBe(0);
    expect(seen.at(-1)?.body).toEqual({ principal_id: 'usr_1', tenant_id: 'acme', role_id: 'tenant-member' });
    expect(out).toContain('applied     all replicas');
  });

  test('a change that a replica has not confirmed says so', async () => {
    const { out } = await ask(['assignments', 'delete', 'asg_1'], { body: { applied: ['authz-2'] } });
    expect(out).toBe('deleted asg_1 (applied: not yet confirmed by authz-2)\n');
  });

  test('an id is taken as it is, and --platform is tenant null', async () => {
    const { seen } = await ask(
      ['assignments', 'create', '--user', 'usr_1', '--platform', '--role', 'platform-admin'],
      created,
    );
    expect(seen.map(({ body }) => body)).toEqual([
      { principal_id: 'usr_1', tenant_id: null, role_id: 'platform-admin' },
    ]);
  });

  test('an address nobody has ends with 1 and changes nothing', async () => {
    const { code, err, seen } = await ask(
      ['assignments', 'create', '--user', 'no@example.com', '--tenant', 'acme', '--role', 'r'],
      { body: { items: [], next_cursor: null } },
    );
    expect(code).toBe(1);
    expect(err).toContain('no user has the address no@example.com');
    expect(seen.every(({ method }) => method === 'GET')).toBe(true);
  });

  test.each([[[]], [['--tenant', 'acme', '--platform']]])(
    'tenant and platform: exactly one of them, not %j',
    async (more) => {
      const { code, seen } = await ask(['assignments', 'create', '--user', 'usr_1', '--role', 'r', ...more], created);
      expect({ code, seen }).toEqual({ code: 2, seen: [] });
    },
  );

  test('list shows the platform by name', async () => {
    const { out } = await ask(['assignments', 'list'], {
      body: { items: [{ id: 'asg_1', principal_id: 'usr_1', tenant_id: null, role_id: 'platform-admin' }] },
    });
    expect(out).toContain('asg_1  usr_1      (platform)  platform-admin');
  });

  test('delete needs no body in the answer', async () => {
    const { code, out, seen } = await ask(['assignments', 'delete', 'asg_1'], { status: 204 });
    expect({ code, out }).toEqual({ code: 0, out: 'deleted asg_1\n' });
    expect(seen[0]).toMatchObject({ method: 'DELETE', path: '/admin/iam/assignments/asg_1' });
  });
});

describe('routing', () => {
  const published: Answer = {
    body: { revision: 8, kind_revisions: { aggregate: 3, projection: 8, runner: 1 }, changed: true },
  };
  const document = { aggregate_placement: { acme: 's1' } };

  test.each([
    ['routing.json', JSON.stringify(document)],
    ['routing.yaml', 'aggregate_placement:\n  acme: s1\n'],
  ])('push reads %s', async (name, text) => {
    await using folder = await tempFolder();
    const file = join(folder.path, name);
    await writeFile(file, text);
    const { code, out, seen } = await ask(['routing', 'push', file, '--note', 'a b'], published);
    expect({ code, out }).toEqual({ code: 0, out: 'published revision 8 (aggregate 3, projection 8, runner 1)\n' });
    expect(seen).toMatchObject([{ method: 'POST', path: '/admin/routing/revisions?note=a+b', body: document }]);
  });

  test('push reads standard input, JSON or YAML', async () => {
    for (const text of [JSON.stringify(document), 'aggregate_placement: {acme: s1}']) {
      expect((await ask(['routing', 'push', '-'], published, text)).seen[0]?.body).toEqual(document);
    }
  });

  test.each([
    ['{"a":', 'standard input is neither JSON nor YAML'],
    ['a: [', 'standard input is neither JSON nor YAML'],
  ])('push of %j sends nothing', async (text, message) => {
    const { code, err, seen } = await ask(['routing', 'push', '-'], published, text);
    expect({ code, seen }).toEqual({ code: 2, seen: [] });
    expect(err).toContain(message);
  });

  test('push of a missing file is a usage mistake', async () => {
    expect(await ask(['routing', 'push', 'no-such-file.json'], published)).toMatchObject({ code: 2, seen: [] });
  });

  test('move sends the named kinds alone', async () => {
    const { seen } = await ask(['routing', 'move', 'acme', '--projection', 's2', '--note', 'why'], published);
    expect(seen[0]).toMatchObject({ body: { changes: [{ tenant: 'acme', projection: 's2' }], note: 'why' } });
    expect(await ask(['routing', 'move', 'acme'], published)).toMatchObject({ code: 2, seen: [] });
  });

  test('a publication that changes nothing says so', async () => {
    const { out } = await ask(['routing', 'move', 'acme', '--projection', 's2'], {
      body: { revision: 8, changed: false },
    });
    expect(out).toContain('nothing to change: revision 8');
  });

  test('rollback names a revision', async () => {
    expect((await ask(['routing', 'rollback', '3'], published)).seen[0]).toMatchObject({
      path: '/admin/routing/rollback',
      body: { revision: 3 },
    });
    expect(await ask(['routing', 'rollback', 'three'], published)).toMatchObject({ code: 2, seen: [] });
  });

  const revision = {
    revision: 8,
    parent: 7,
    kind_revisions: { aggregate: 3, projection: 8, runner: 1 },
    at: '2026-11-25T10:00:00Z',
    by: 'usr_1',
    note: 'why\u001b[31m',
    tenants: 2,
    shards: { aggregate: 2, projection: 2, runner: 2 },
  };

  test('show prints who, when, why and the counts', async () => {
    const { out, seen } = await ask(['routing', 'show'], { body: revision });
    expect(seen[0]?.path).toBe('/admin/routing');
    expect(out.split('\n')).toEqual([
      'revision        8',
      'kind revisions  aggregate 3, projection 8, runner 1',
      'at              2026-11-25T10:00:00Z',
      'by              usr_1',
      'note            why\\u001b[31m',
      'tenants         2',
      'shards          aggregate 2, projection 2, runner 2',
      '',
    ]);
    expect((await ask(['routing', 'show', '--revision', '7'], { body: revision })).seen[0]?.path).toBe(
      '/admin/routing/revisions/7',
    );
  });

  test('show --document prints what push takes', async () => {
    const { out, seen } = await ask(['routing', 'show', '--document'], { body: { ...revision, document } });
    expect(seen[0]?.path).toBe('/admin/routing?include=document');
    expect(JSON.parse(out)).toEqual(document);
  });

  test('list shows a revision per line', async () => {
    const { out } = await ask(['routing', 'list'], { body: { items: [revision], next_cursor: null } });
    expect(out.split('\n')[1]).toMatch(/^8 +2026-11-25T10:00:00Z +usr_1 +3 +8 +1 +why/);
  });
});

describe('status', () => {
  test('is 0 when ready, 1 when not, and names the conditions', async () => {
    const ready: Handler = ({ path }) => ({ body: { status: path === '/health' ? 'ok' : 'ready' } });
    expect(await ask(['status'], ready)).toMatchObject({ code: 0 });
    const notReady: Handler = ({ path }) =>
      path === '/health'
        ? { body: { status: 'ok' } }
        : { status: 503, body: { conditions: [{ name: 'routing', ok: false, detail: 'no revision' }] } };
    const { code, out } = await ask(['status'], notReady);
    expect(code).toBe(1);
    expect(out).toMatch(/alive +yes\nready +no\n {2}routing +NOT OK \(no revision\)\n/);
    const script = await ask(['status', '--json'], notReady);
    expect(JSON.parse(script.out)).toMatchObject({ alive: true, ready: false });
  });
});

test('users list is a table, and says when it is cut', async () => {
  const items = [{ id: 'usr_1', email: 'a@example.com', status: 'active', email_verified: true, created_at: 't' }];
  const { out } = await ask(['users', 'list', '--limit', '1'], { body: { items, next_cursor: 'more' } });
  expect(out).toBe(
    'ID     EMAIL          STATUS  VERIFIED  CREATED\nusr_1  a@example.com  active  true      t\nthere are more: raise --limit\n',
  );
});

test('version needs no gateway', async () => {
  const { code, out } = await runCli(['version']);
  expect(code).toBe(0);
  expect(out).toMatch(/^gatewayctl \d+\.\d+\.\d+ \(Node /);
});
