/**
 * Lines for a person at a terminal. Colours only on a terminal that wants them (https://no-color.org), so that a log
 * file or a pipe gets plain text. Progress goes to stderr: stdout belongs to the program that is started.
 */

/** @param {{ readonly isTTY?: boolean }} stream @param {Readonly<Record<string, string | undefined>>} env */
const wantsColour = (stream, env) => stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';

const colour = wantsColour(process.stderr, process.env);

/** @param {string} text */
const dim = (text) => (colour ? `\u001b[2m${text}\u001b[22m` : text);
/** @param {string} text */
export const red = (text) => (colour ? `\u001b[31m${text}\u001b[39m` : text);
/** @param {string} text */
export const bold = (text) => (colour ? `\u001b[1m${text}\u001b[22m` : text);

/** @param {string} text One line of progress. */
export const say = (text) => {
  process.stderr.write(`${dim('gateway')} ${text}\n`);
};

/**
 * Says what begins, does it, and says how long it took. A failure is left to the caller to report.
 * @template Value
 * @param {string} what
 * @param {() => Promise<Value>} action
 * @returns {Promise<Value>}
 */
export async function step(what, action) {
  say(`${what} ...`);
  const startedAt = performance.now();
  const value = await action();
  say(`${what}: done in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  return value;
}

/**
 * Reports the reason a script cannot go on and ends the process.
 * @param {unknown} error
 * @returns {never}
 */
export function giveUp(error) {
  const text =
    error instanceof UserError ? error.message : error instanceof Error ? (error.stack ?? '') : String(error);
  process.stderr.write(`${red('gateway cannot go on:')} ${text}\n`);
  process.exit(1);
}

/** A failure the person can do something about: its message says what, and no stack trace is printed. */
export class UserError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = 'UserError';
  }
}
