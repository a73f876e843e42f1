import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLog } from './log-file.ts';
import type { Ending, StartedProcess, Timers } from './supervisor.ts';

/** What to run. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Takes stdout and stderr. */
  readonly logFile: string;
}

/** A started process, and where in the log file its output begins. */
export type LoggedProcess = StartedProcess & { readonly logStartsAt: number };

/** Starts a process whose output goes to its log file. @throws when the file cannot be run */
export async function startProcess(command: Command): Promise<LoggedProcess> {
  const log = openLog(command.logFile);
  try {
    // In a session of its own: Ctrl-C in a terminal goes to the launcher alone, which ends its children in order.
    const child = spawn(command.file, command.args, {
      env: command.env,
      stdio: ['ignore', log.descriptor, log.descriptor],
      detached: true,
    });
    const ended = new Promise<Ending>((resolve) => {
      child.once('exit', (code, signal) => resolve(code === null ? { signal: signal ?? 'unknown' } : { code }));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    // From here on an error event means a signal that could not be sent: the process is gone, and `ended` says so.
    child.on('error', () => {});
    if (child.pid === undefined) throw new Error('a spawned process has an id');
    return { pid: child.pid, ended, kill: (signal) => void child.kill(signal), logStartsAt: log.startsAt };
  } finally {
    log.close();
  }
}

/** Real time. */
export const realTimers: Timers = {
  // Monotonic: a corrected system clock must not make a child look long-lived.
  nowMs: () => performance.timeOrigin + performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {}),
};
