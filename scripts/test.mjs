/** `npm test [-- vitest arguments]`: installs what is missing and runs every test; the last line is the count. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { giveUp } from './lib/console.mjs';
import { install } from './lib/install.mjs';
import { nodePath, pathWithPackages, ROOT } from './lib/node.mjs';
import { runChild } from './lib/run-child.mjs';
import { countTests } from './lib/test-report.mjs';

const folder = mkdtempSync(join(tmpdir(), 'gateway-test-'));
const report = join(folder, 'report.json');

try {
  const env = await install(['envoy', 'nats-server', 'go']);
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const code = await runChild(nodePath(), [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
    cwd: ROOT,
    // With CI set a missing golden file fails its test instead of being written.
    env: { ...env, PATH: pathWithPackages(env), CI: 'true' },
  });
  const { line, ok } = countTests(readIfThere(report), code);
  process.stdout.write(`${line}\n`);
  process.exitCode = ok ? 0 : code === 0 ? 1 : code;
} catch (error) {
  giveUp(error);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** @param {string} file */
function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
