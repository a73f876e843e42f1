import { execFile } from 'node:child_process';
import { readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createTokenStore, fileName, type SavedSession } from '../../../src/cli/token-store.ts';
import { tempFolder } from './harness.ts';

const URL_A = 'http://127.0.0.1:8080';
const session = (mark: string): SavedSession => ({
  email: 'a@example.com',
  refreshToken: `rt1.${mark}`,
  accessToken: `at.${mark}`,
  accessExpiresAtMs: 1_000,
});

describe('the saved sign-in', () => {
  test('comes back as it was, per URL, and goes when removed', async () => {
    await using folder = await tempFolder();
    const store = createTokenStore(join(folder.path, 'deep', 'gatewayctl'));
    expect(await store.load(URL_A)).toBeUndefined();
    await store.save(URL_A, session('1'));
    expect(await store.load(URL_A)).toEqual(session('1'));
    expect(await store.load('http://127.0.0.1:8081')).toBeUndefined();
    await store.remove(URL_A);
    await store.remove(URL_A);
    expect(await store.load(URL_A)).toBeUndefined();
  });

  test('is readable by its owner alone, also after it was replaced, and leaves no draft', async () => {
    await using folder = await tempFolder();
    const path = join(folder.path, 'gatewayctl');
    const store = createTokenStore(path);
    await store.save(URL_A, session('1'));
    await store.save(URL_A, session('2'));
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect((await stat(join(path, fileName(URL_A)))).mode & 0o777).toBe(0o600);
    expect(await readdir(path)).toEqual([fileName(URL_A)]);
  });

  test('two URLs never share a file', () => {
    expect(fileName('http://a_b')).not.toBe(fileName('http://a:b'));
    expect(fileName(`http://${'x'.repeat(300)}`).length).toBeLessThan(120);
  });

  test('a damaged file counts as none; one of another URL or schema too', async () => {
    await using folder = await tempFolder();
    const store = createTokenStore(folder.path);
    for (const text of ['{', '[]', '{"schema":2}', `{"schema":1,"url":"http://other","refreshToken":"x"}`]) {
      await writeFile(join(folder.path, fileName(URL_A)), text);
      expect(await store.load(URL_A)).toBeUndefined();
    }
  });
});

describe('the lock', () => {
  test('lets one action run at a time', async () => {
    await using folder = await tempFolder();
    const stores = [createTokenStore(folder.path), createTokenStore(folder.path), createTokenStore(folder.path)];
    let inside = 0;
    let most = 0;
    await Promise.all(
      stores.map((store) =>
        store.withLock(URL_A, async () => {
          inside += 1;
          most = Math.max(most, inside);
          await new Promise((resolve) => setImmediate(resolve));
          inside -= 1;
        }),
      ),
    );
    expect(most).toBe(1);
    expect(await readdir(folder.path)).toEqual([]);
  });

  test('is freed when the action fails', async () => {
    await using folder = await tempFolder();
    const store = createTokenStore(folder.path);
    await expect(store.withLock(URL_A, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await store.withLock(URL_A, async () => 'free')).toBe('free');
  });

  test('held by somebody alive is not taken: the wait ends with a message that names the file', async () => {
    await using folder = await tempFolder();
    const lock = join(folder.path, `${fileName(URL_A)}.lock`);
    await writeFile(lock, `${hostname()} ${process.pid} other`);
    const store = createTokenStore(folder.path, { lockWaitMs: 60 });
    await expect(store.withLock(URL_A, async () => 'never')).rejects.toThrow(lock);
    expect(await readdir(folder.path)).toEqual([`${fileName(URL_A)}.lock`]);
  });

  test('of a dead process is taken over at once', async () => {
    await using folder = await tempFolder();
    const { stdout } = await promisify(execFile)(process.execPath, ['-p', 'process.pid']);
    await writeFile(join(folder.path, `${fileName(URL_A)}.lock`), `${hostname()} ${stdout.trim()} gone`);
    expect(await createTokenStore(folder.path).withLock(URL_A, async () => 'mine')).toBe('mine');
  });

  test('of another machine is taken over when it is old', async () => {
    await using folder = await tempFolder();
    const lock = join(folder.path, `${fileName(URL_A)}.lock`);
    await writeFile(lock, 'elsewhere 1 other');
    await expect(createTokenStore(folder.path, { lockWaitMs: 60 }).withLock(URL_A, async () => 0)).rejects.toThrow(
      'holds',
    );
    const hourAgo = new Date(Date.now() - 3_600_000);
    await utimes(lock, hourAgo, hourAgo);
    expect(await createTokenStore(folder.path).withLock(URL_A, async () => 'mine')).toBe('mine');
  });
});
