import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { step, UserError } from './console.mjs';
import { obtainTool } from './fetch-tool.mjs';
import { isInstalled } from './lock-file.mjs';
import { pathWithoutPackages, ROOT } from './node.mjs';
import { runChild } from './run-child.mjs';
import { TOOLS } from './tools.mjs';

const PACKAGES = join(ROOT, 'node_modules');
const HASH_FILE = join(PACKAGES, '.lock-hash');

/**
 * Installs what is missing: the npm packages of package-lock.json, the command `gatewayctl`, the pinned servers.
 * @param {readonly import('./tools.mjs').ToolName[]} tools
 * @returns {Promise<NodeJS.ProcessEnv>} the environment, with the variable of each tool set to its binary
 * @throws {UserError} naming everything that could not be had
 */
export async function install(tools) {
  const results = await Promise.allSettled([installPackages(), ...tools.map((name) => obtainTool(name))]);
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  const unexpected = failures.find((failure) => !(failure instanceof UserError));
  if (unexpected !== undefined) throw unexpected;
  if (failures.length > 0) throw new UserError(failures.map((failure) => failure.message).join('\n'));
  const paths = results.slice(1).map((result) => (result.status === 'fulfilled' ? result.value : undefined));
  return {
    ...process.env,
    ...Object.fromEntries(tools.map((name, index) => [TOOLS[name].variable, paths[index] ?? undefined])),
  };
}

/** `npm ci` when the packages are not those of package-lock.json. */
async function installPackages() {
  const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  const hash = createHash('sha256').update(lock).digest('hex');
  if (readIfThere(HASH_FILE) !== hash) {
    const isThere = (/** @type {string} */ path) => existsSync(join(ROOT, path));
    const installed = isInstalled(lock, readIfThere(join(PACKAGES, '.package-lock.json')), isThere);
    if (!installed) await step('installing the npm packages', npmInstall);
    writeFileSync(HASH_FILE, hash);
  }
  linkCommand();
}

async function npmInstall() {
  const env = { ...process.env, PATH: pathWithoutPackages(process.env) };
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const code = await runChild('npm', args, { env, cwd: ROOT }).catch((error) => {
    throw new UserError(`npm does not run: ${error.message}`, { cause: error });
  });
  if (code !== 0) throw new UserError(`npm ${args.join(' ')} failed with exit code ${code} (see above)`);
}

/** npm makes commands only of dependencies, and `npx gatewayctl` in the clone has to work too. */
function linkCommand() {
  const link = join(PACKAGES, '.bin', 'gatewayctl');
  if (existsSync(link)) return;
  mkdirSync(join(PACKAGES, '.bin'), { recursive: true });
  const fresh = `${link}.${process.pid}`;
  rmSync(fresh, { force: true });
  symlinkSync(join('..', '..', 'bin', 'gatewayctl.mjs'), fresh);
  renameSync(fresh, link);
}

/** @param {string} file */
function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
