import { expect, test } from 'vitest';
import { runCli, startLocalApi } from './harness.ts';

test('runner calls the path below the prefix, escaped once, and prints what came back', async () => {
  await using api = await startLocalApi(() => ({ body: { state: 'paused', note: '\u001b[31m' } }));
  const options = { url: api.url, token: 'token' };
  const run = await runCli(
    ['runner', 'POST', '/jobs/a b/%2B?x=1&x=a+b', '--shard', 's2', '--data', '{"a":[1]}'],
    options,
  );
  expect(run).toMatchObject({ code: 0, err: '' });
  expect(JSON.parse(run.out)).toEqual({ state: 'paused', note: '\u001b[31m' });
  expect(api.seen).toMatchObject([
    { method: 'POST', path: '/admin/runner/jobs/a%20b/%2B?x=1&x=a+b', authorization: 'Bearer token', body: { a: [1] } },
  ]);
});

test('runner prints nothing for an answer without a body', async () => {
  await using api = await startLocalApi(() => ({}));
  const options = { url: api.url, token: 'token' };
  expect(await runCli(['runner', 'DELETE', 'jobs/7', '--tenant', 'acme'], options)).toEqual({
    code: 0,
    out: '',
    err: '',
  });
  expect((await runCli(['runner', 'DELETE', 'jobs/7', '--tenant', 'acme', '--json'], options)).out).toBe('null\n');
});

test.each([
  [['GET', 'status'], /--tenant or --shard is missing/],
  [['HEAD', 'status', '--shard', 's1'], /METHOD must be one of GET, POST, PUT, PATCH, DELETE/],
  [['POST', 'pause', '--shard', 's1', '--data', '{'], /--data is not JSON/],
])('runner %j asks nobody', async (words, message) => {
  const run = await runCli(['runner', ...words], { token: 'token' });
  expect(run.code).toBe(2);
  expect(run.err).toMatch(message);
});
