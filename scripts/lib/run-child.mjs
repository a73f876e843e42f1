import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const FORWARDED = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/**
 * Runs a program in the place of this process: same terminal, signals passed on (a program started here takes a
 * repeated signal as one), and the exit code it ends with. With `ipc` a channel lets it notice that this process died.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ readonly env?: NodeJS.ProcessEnv, readonly cwd?: string, readonly ipc?: boolean }} [options]
 * @returns {Promise<number>} 128 + signal number when a signal ended it, as shells do
 */
export function runChild(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: options.ipc === true ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
      env: options.env ?? process.env,
      cwd: options.cwd ?? process.cwd(),
    });
    const forwards = FORWARDED.map((signal) => {
      const forward = () => void child.kill(signal);
      process.on(signal, forward);
      return () => process.off(signal, forward);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      for (const end of forwards) end();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
