import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { endOrphans, findOrphans, SUPERVISED_BY } from '../../../src/launcher/data/orphans.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/wait.ts';

/** A process as a killed launcher would leave it; it does not care about SIGTERM when `stubborn`. */
async function leftBehind(
  root: string,
  stubborn = false,
): Promise<{ readonly pid: number; readonly ended: Promise<unknown> }> {
  const script = `${stubborn ? "trap '' TERM; " : ''}echo up; while :; do sleep 0.05; done`;
  const child = spawn('sh', ['-c', script], {
    env: { ...process.env, [SUPERVISED_BY]: root },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  if (child.pid === undefined) throw new Error('sh is needed');
  return { pid: child.pid, ended: once(child, 'exit') };
}

test.runIf(process.platform === 'linux')(
  'children of a killed launcher are found and ended, others left alone',
  async () => {
    await using ours = await tempFolder();
    await using theirs = await tempFolder();
    const orphan = await leftBehind(ours.path);
    const stranger = await leftBehind(theirs.path);
    // A folder whose name begins alike is another one.
    const neighbour = await leftBehind(`${ours.path}-2`);
    expect(await findOrphans(ours.path)).toContain(orphan.pid);
    const ended = await endOrphans(ours.path);
    await orphan.ended;
    expect(ended).toContain(orphan.pid);
    expect(ended).not.toContain(stranger.pid);
    expect(ended).not.toContain(neighbour.pid);
    for (const other of [stranger, neighbour]) {
      expect(process.kill(other.pid, 0)).toBe(true);
      process.kill(other.pid, 'SIGKILL');
      await other.ended;
    }
  },
);

test.runIf(process.platform === 'linux')('one that ignores SIGTERM is killed', async () => {
  await using folder = await tempFolder();
  const orphan = await leftBehind(folder.path, true);
  await endOrphans(folder.path, 200);
  await orphan.ended;
  await until(async () => (await findOrphans(folder.path)).length === 0, { deadlineMs: 5_000, what: 'all to be gone' });
});
