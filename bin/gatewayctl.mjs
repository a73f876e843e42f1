#!/usr/bin/env node
/** `gatewayctl`: runs src/cli/main.ts. In this process when its Node can (starting a second one costs 40 ms), else under the pinned one. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { giveUp, UserError } from '../scripts/lib/console.mjs';
import { nodePath } from '../scripts/lib/node.mjs';
import { runChild } from '../scripts/lib/run-child.mjs';

const main = new URL('../src/cli/main.ts', import.meta.url);

try {
  if (!existsSync(new URL('../node_modules', import.meta.url))) {
    throw new UserError('the npm packages are not installed: run "npm start" or "npm ci" in the repository first');
  }
  const node = nodePath();
  if (node === process.execPath) await import(main.href);
  else process.exitCode = await runChild(node, [fileURLToPath(main), ...process.argv.slice(2)]);
} catch (error) {
  giveUp(error);
}
