/** `npm start`: installs what is missing, then runs the development gateway under the pinned Node. */
import { join } from 'node:path';
import { giveUp } from './lib/console.mjs';
import { install } from './lib/install.mjs';
import { nodePath, pathWithPackages, ROOT } from './lib/node.mjs';
import { runChild } from './lib/run-child.mjs';

const PARENT_CHECK_EVERY_MS = 500;

// Killed hard, npm passes no signal on: its death then ends the gateway. Started without npm (nohup, a service manager)
// the gateway outlives whoever started it.
if (process.env['npm_lifecycle_event'] === 'start') {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
  }, PARENT_CHECK_EVERY_MS).unref();
}

try {
  const env = await install(['envoy', 'nats-server']);
  const main = join(ROOT, 'src', 'launcher', 'main.ts');
  process.exitCode = await runChild(nodePath(), [main, ...process.argv.slice(2)], {
    env: { ...env, PATH: pathWithPackages(env) },
    ipc: true,
  });
} catch (error) {
  giveUp(error);
}
