import { expect, test } from 'vitest';
import { countTests } from '../../../scripts/lib/test-report.mjs';

const file = (status: string, ...tests: readonly string[]) => ({
  status,
  assertionResults: tests.map((each) => ({ status: each })),
});
const report = (...files: readonly unknown[]) => JSON.stringify({ testResults: files });

test('passed, failed and skipped tests are counted', () => {
  expect(countTests(report(file('passed', 'passed', 'passed')), 0)).toEqual({ line: '2 passed, 0 failed', ok: true });
  expect(countTests(report(file('failed', 'passed', 'failed'), file('passed', 'pending', 'todo')), 1)).toEqual({
    line: '1 passed, 1 failed, 2 skipped',
    ok: false,
  });
});

test('a file that could not be loaded, a missing report and a failed run without a failed test count as failures', () => {
  expect(countTests(report(file('failed'), file('passed', 'passed')), 1)).toEqual({
    line: '1 passed, 1 failed',
    ok: false,
  });
  expect(countTests(undefined, 0)).toEqual({ line: '0 passed, 0 failed', ok: false });
  expect(countTests(undefined, 130)).toEqual({ line: '0 passed, 1 failed', ok: false });
  expect(countTests(report(file('passed', 'passed')), 1)).toEqual({ line: '1 passed, 1 failed', ok: false });
});
