import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { lockDataFolder } from '../../../src/launcher/data/lock.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const LOCK = new URL('../../../src/launcher/data/lock.ts', import.meta.url).href;

test('a second launcher on one data folder is refused and told who holds it', async () => {
  await using folder = await tempFolder();
  await using _lock = await lockDataFolder(folder.path);
  await expect(lockDataFolder(folder.path)).rejects.toThrow(
    `a development gateway already runs on ${folder.path} (process ${process.pid})`,
  );
  await using other = await tempFolder();
  await using _free = await lockDataFolder(other.path);
});

test('the lock is free again after its release', async () => {
  await using folder = await tempFolder();
  const lock = await lockDataFolder(folder.path);
  await lock[Symbol.asyncDispose]();
  await using _again = await lockDataFolder(folder.path);
});

test('a killed holder leaves nothing behind', async () => {
  await using folder = await tempFolder();
  const script = `const { lockDataFolder } = await import(${JSON.stringify(LOCK)});
    await lockDataFolder(${JSON.stringify(folder.path)}); console.log('held'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  await expect(lockDataFolder(folder.path)).rejects.toThrow(`process ${holder.pid}`);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await using _lock = await lockDataFolder(folder.path);
});
