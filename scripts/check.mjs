/** `npm run check`: format and lint, types, unused files and exports, and the rules the repository keeps about itself. */
import { join } from 'node:path';
import { bold, giveUp, red, say } from './lib/console.mjs';
import { install } from './lib/install.mjs';
import { nodePath, pathWithPackages, ROOT } from './lib/node.mjs';
import { runChild } from './lib/run-child.mjs';

/** @type {readonly { readonly claim: string, readonly command: readonly [string, ...string[]] }[]} */
const CHECKS = [
  { claim: 'the code is formatted and linted', command: ['biome', 'check', '.'] },
  { claim: 'the types hold', command: ['tsc', '-p', '.'] },
  { claim: 'nothing is unused', command: ['knip'] },
  { claim: 'the repository keeps its own rules', command: ['vitest', 'run', '--project', 'pure', 'test/tidy'] },
];

try {
  const env = await install([]);
  const failed = [];
  for (const { claim, command } of CHECKS) {
    say(bold(claim));
    const [name, ...args] = command;
    // Run by the pinned Node: some of these refuse an older one.
    const code = await runChild(nodePath(), [join(ROOT, 'node_modules', '.bin', name), ...args], {
      cwd: ROOT,
      env: { ...env, PATH: pathWithPackages(env), CI: 'true' },
    });
    if (code !== 0) failed.push(claim);
  }
  say(failed.length === 0 ? 'all checks passed' : red(`not true: ${failed.join('; ')}`));
  process.exitCode = failed.length === 0 ? 0 : 1;
} catch (error) {
  giveUp(error);
}
