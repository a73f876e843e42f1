/**
 * Makes the last line of `npm test` of vitest's JSON report. A file that could not even be loaded holds no test that
 * failed, and a report may be missing: both count as one failure, so that the line never looks better than the run.
 * @param {string | undefined} report text of the report, undefined when there is none
 * @param {number} exitCode of vitest
 * @returns {{ readonly line: string, readonly ok: boolean }}
 */
export function countTests(report, exitCode) {
  /** @type {{ testResults?: readonly { status: string, assertionResults: readonly { status: string }[] }[] }} */
  const parsed = report === undefined ? {} : JSON.parse(report);
  const files = parsed.testResults ?? [];
  const tests = files.flatMap((file) => file.assertionResults);
  const passed = tests.filter((test) => test.status === 'passed').length;
  const failedTests = tests.filter((test) => test.status === 'failed').length;
  const skipped = tests.length - passed - failedTests;
  const brokenFiles = files.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = Math.max(failedTests + brokenFiles, exitCode === 0 ? 0 : 1);
  return {
    line: `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`,
    ok: passed > 0 && failed === 0,
  };
}
