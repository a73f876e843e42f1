import { describe, expect, test } from 'vitest';
import { problem } from '#domain/errors.ts';
import {
  exitCodeOf,
  failureAsJson,
  failureAsText,
  NotSignedInError,
  RefusedError,
  UnreachableError,
  UsageError,
} from '../../../src/cli/failures.ts';
import { createPaint } from '../../../src/cli/render.ts';
import { runCli, startLocalApi } from './harness.ts';

const plain = createPaint(false);
const refusal = problem(
  {
    code: 'validation_failed',
    detail: 'The routing document is refused',
    errors: [
      { pointer: '/aggregate_placement/acme', code: 'unknown_shard', detail: '"s9" is not in aggregate_shards' },
      { pointer: '', code: 'too_many', detail: 'places too many tenants' },
      { pointer: '/runner_shards/S!', code: 'invalid_shard_name', detail: 'is not a shard name' },
    ],
  },
  { requestId: 'req-1', decisionId: 'dec_1' },
);

describe('a refusal', () => {
  test('is one line of what, then every mistake on its own line with place and detail', () => {
    expect(failureAsText(new RefusedError(400, refusal), plain)).toBe(
      [
        'error: The request does not pass validation (validation_failed, 400)',
        '  The routing document is refused',
        '  /aggregate_placement/acme: "s9" is not in aggregate_shards',
        '  (whole document): places too many tenants',
        '  /runner_shards/S!: is not a shard name',
        '  request_id req-1, decision_id dec_1',
        '',
      ].join('\n'),
    );
  });

  test('as JSON is the problem document itself', () => {
    expect(failureAsJson(new RefusedError(400, refusal))).toBe(refusal);
  });

  test('cannot move the cursor', () => {
    const text = failureAsText(new RefusedError(400, { title: 'a\u001b[1Ab', errors: [{ pointer: '\u0007' }] }), plain);
    expect([...'\u0007\u001b'].filter((character) => text.includes(character))).toEqual([]);
  });

  test('strange entries are shown, not dropped', () => {
    const text = failureAsText(new RefusedError(400, { errors: ['odd', { code: 'x' }] }), plain);
    expect(text).toContain('(whole document): odd');
    expect(text).toContain('(whole document): x');
  });
});

test.each([
  [new UsageError('x'), 2],
  [new RefusedError(403, {}), 1],
  [new NotSignedInError('x'), 1],
  [new UnreachableError('x'), 3],
  [new Error('x'), 1],
])('exit code of %s is %i', (error, code) => {
  expect(exitCodeOf(error)).toBe(code);
});

describe('through the whole command', () => {
  test('a refused push prints three mistakes and ends with 1; with --json the same document on standard output', async () => {
    await using api = await startLocalApi(() => ({ status: 400, body: refusal }));
    const options = { url: api.url, token: 'token', input: '{"aggregate_placement":{}}' };
    const people = await runCli(['routing', 'push', '-'], options);
    expect(people.code).toBe(1);
    expect(people.out).toBe('');
    expect(people.err.split('\n').filter((line) => line.startsWith('  /') || line.startsWith('  ('))).toHaveLength(3);
    const script = await runCli(['routing', 'push', '-', '--json'], options);
    expect(script).toMatchObject({ code: 1, err: '' });
    expect(JSON.parse(script.out)).toEqual(refusal);
  });

  test('a usage mistake under --json is JSON too', async () => {
    const { code, out, err } = await runCli(['routing', 'push', '--json']);
    expect(code).toBe(2);
    expect(err).toBe('');
    expect(JSON.parse(out)).toMatchObject({ type: 'urn:gatewayctl:error:usage', detail: 'FILE is missing' });
  });
});
