import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from './console.mjs';

/** The programs are TypeScript that Node runs by type stripping, unflagged and stable from this major version on. */
const NODE_MAJOR_MIN = 26;

/** The repository folder. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/**
 * The Node that runs the programs: the one in use when it is new enough, else the pinned one among the npm packages.
 * @returns {string} path of the executable
 */
export function nodePath() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return process.execPath;
  const pinned = join(ROOT, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (existsSync(pinned)) return pinned;
  throw new UserError(
    `Node ${NODE_MAJOR_MIN} or newer is needed and this is ${process.version}. The pinned one comes with the npm packages ` +
      `on linux-x64 (npm start installs them); on ${process.platform}-${process.arch} install Node ${NODE_MAJOR_MIN} yourself.`,
  );
}

/**
 * PATH as the programs and the tests' children need it: the npm packages' commands, the pinned `node` among them, first.
 * @param {Readonly<Record<string, string | undefined>>} env
 */
export const pathWithPackages = (env) =>
  [join(ROOT, 'node_modules', '.bin'), env['PATH']].filter((part) => part !== undefined && part !== '').join(delimiter);

/**
 * PATH without any npm package's commands: for npm itself, which must not run by the Node it is about to replace.
 * @param {Readonly<Record<string, string | undefined>>} env
 */
export const pathWithoutPackages = (env) =>
  (env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !/node_modules[\\/]\.bin[\\/]?$/.test(folder))
    .join(delimiter);
