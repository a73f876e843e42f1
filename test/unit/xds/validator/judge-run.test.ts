import { describe, expect, test } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { judgeRun } from '../../../../xds/validator/judge-run.ts';

/** Runs as Envoy 1.40 wrote them. */
const PREFIX = '[2026-12-01 00:59:22.270][5604][critical][main] [source/server/config_validation/server.cc:76] ';
const OK = { ended: 'exit', exitCode: 0, output: "configuration 'bootstrap.json' OK\n", errors: '' } as const;
const refusing = (text: string, exitCode = 1) => ({ ended: 'exit', exitCode, output: '', errors: text }) as const;

describe('a run of the validator', () => {
  test('is valid when Envoy says so', () => {
    expect(judgeRun(OK)).toEqual({ state: 'valid' });
  });

  test('is invalid for the reason Envoy gives, without its log and our file', () => {
    const text =
      "[2026-12-01 00:59:22.318][5607][info][misc] [source/server/options_impl_base.cc:67] disabled extension 'x'\n" +
      `${PREFIX}error initializing configuration 'bootstrap.json': runner/s1 cluster must support HTTP/2 for gRPC healthchecking\n`;
    const error = 'runner/s1 cluster must support HTTP/2 for gRPC healthchecking';
    expect(judgeRun(refusing(text))).toEqual({ state: 'invalid', error });
  });

  test('a reason of several lines is one line, and ends where the log goes on', () => {
    const text =
      `${PREFIX}error initializing configuration 'bootstrap.json': Invalid duration: Expected positive duration:   \n` +
      'seconds: -1\n\n[2026-12-01 00:59:22.318][5607][info][main] [source/server/server.cc:1] exiting\n';
    const error = 'Invalid duration: Expected positive duration: seconds: -1';
    expect(judgeRun(refusing(text))).toEqual({ state: 'invalid', error });
  });

  test('a long reason is cut', () => {
    const verdict = judgeRun(refusing(`${PREFIX}error initializing configuration 'b': ${'x'.repeat(5_000)}`));
    expect(verdict).toMatchObject({ state: 'invalid', error: 'x'.repeat(LIMITS.quarantineErrorMaxChars) });
  });

  test.each([
    ['something that is no Envoy and ends well', { ...OK, output: '' }],
    ['something that is no Envoy and ends badly', refusing('sh: envoy: not found', 127)],
    ['Envoy given arguments it does not know', refusing('PARSE ERROR: Argument: --mode')],
    ['a crash', { ended: 'signal', signal: 'SIGSEGV' }],
    ['the limit', { ended: 'too_late' }],
    ['a binary that is not there', { ended: 'failed', reason: 'Envoy cannot be run (ENOENT)' }],
  ] as const)('says nothing of the shards: %s', (_, run) => {
    expect(judgeRun(run)).toEqual({ state: 'unavailable', detail: expect.any(String) });
  });
});
