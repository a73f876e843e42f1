import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Environment variable of every child: the data folder it was started for. */
export const SUPERVISED_BY = 'GATEWAY_SUPERVISED_BY';

const TERM_BOUND_MS = 3_000;
const POLL_EVERY_MS = 20;

/**
 * Ends the children a killed launcher left behind, which still hold its ports and its storage. They are recognised by
 * the data folder in their environment, so neither a recorded process id that means another process by now nor a child
 * started just before the kill can mislead. Only Linux shows environments; elsewhere none are found.
 * @param boundMs time they get after SIGTERM, and again after SIGKILL
 * @returns the process ids that were ended
 */
export async function endOrphans(root: string, boundMs = TERM_BOUND_MS): Promise<readonly number[]> {
  const ended = new Set<number>();
  for (const name of ['SIGTERM', 'SIGKILL'] as const) {
    const endsAt = performance.now() + boundMs;
    let left = await findOrphans(root);
    for (const pid of left) {
      signal(pid, name);
      ended.add(pid);
    }
    while (left.length > 0 && performance.now() < endsAt) {
      await sleep(POLL_EVERY_MS);
      left = await stillThere(left, root);
    }
  }
  return [...ended];
}

/** Processes of this user that were started for the data folder. */
export async function findOrphans(root: string): Promise<readonly number[]> {
  const entries = await readdir('/proc').catch(() => []);
  const pids = entries.filter((entry) => /^\d+$/.test(entry)).map(Number);
  return stillThere(
    pids.filter((pid) => pid !== process.pid),
    root,
  );
}

/**
 * Those of the processes that have the data folder in their environment. One that has ended but that nobody has
 * waited for (the first process of many containers never does) has no environment left and does not count.
 */
async function stillThere(pids: readonly number[], root: string): Promise<readonly number[]> {
  const marker = Buffer.from(`\0${SUPERVISED_BY}=${root}\0`);
  const found = await Promise.all(
    pids.map(async (pid) => {
      // Unreadable: another user's process, or one that is gone.
      const environment = await readFile(`/proc/${pid}/environ`).catch(() => Buffer.alloc(0));
      return Buffer.concat([Buffer.of(0), environment]).includes(marker) ? [pid] : [];
    }),
  );
  return found.flat();
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
}
