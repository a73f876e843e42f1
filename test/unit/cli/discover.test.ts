import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { candidateFolders, discover, normaliseUrl } from '../../../src/cli/discover.ts';
import { UnreachableError, UsageError } from '../../../src/cli/failures.ts';
import { tempFolder } from './harness.ts';

const HTTP = 'http://127.0.0.1:18080';

async function writeRunFile(folder: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'run.json'), text);
}

const runFile = (http: string, token: string): string =>
  JSON.stringify({ http, https: 'https://127.0.0.1:18443', bootstrapToken: token });

describe('where run.json is looked for', () => {
  test('in .data of the current folder, its parents nearest first, then of the clone', () => {
    expect(candidateFolders({ dataFolder: undefined, currentFolder: '/a/b', cloneFolder: '/clone' })).toEqual([
      '/a/b/.data',
      '/a/.data',
      '/.data',
      '/clone/.data',
    ]);
  });

  test('in GATEWAY_DATA alone when it is set, relative to the current folder or else to the clone', () => {
    const folders = { currentFolder: '/a', cloneFolder: '/clone' };
    expect(candidateFolders({ dataFolder: 'x', ...folders })).toEqual(['/a/x', '/clone/x']);
    expect(candidateFolders({ dataFolder: '/x', ...folders })).toEqual(['/x']);
  });
});

describe('discover', () => {
  test('takes the nearest gateway that answers, with its bootstrap token', async () => {
    await using folder = await tempFolder();
    const inner = join(folder.path, 'inner');
    await writeRunFile(join(inner, '.data'), runFile('http://127.0.0.1:1', 'dead'));
    await writeRunFile(join(folder.path, '.data'), runFile(`${HTTP}/`, 'alive'));
    const asked: string[] = [];
    const found = await discover({
      url: undefined,
      dataFolder: undefined,
      currentFolder: inner,
      cloneFolder: folder.path,
      answers: async (url) => {
        asked.push(url);
        return url === HTTP;
      },
    });
    expect(found).toEqual({ url: HTTP, bootstrapToken: 'alive' });
    expect(asked).toEqual(['http://127.0.0.1:1', HTTP]);
  });

  test.each(['', '{"http":', '[]', '{"http":5}', '{"http":"file:///etc"}'])(
    'a run.json of %j is passed over',
    async (text) => {
      await using folder = await tempFolder();
      await writeRunFile(folder.path, text);
      const found = discover({
        url: undefined,
        dataFolder: folder.path,
        currentFolder: folder.path,
        cloneFolder: folder.path,
        answers: async () => true,
      });
      await expect(found).rejects.toThrow(UnreachableError);
    },
  );

  test('says which run.json it found when nothing answers', async () => {
    await using folder = await tempFolder();
    await writeRunFile(folder.path, runFile(HTTP, 't'));
    const found = discover({
      url: undefined,
      dataFolder: folder.path,
      currentFolder: '/',
      cloneFolder: '/',
      answers: async () => false,
    });
    await expect(found).rejects.toThrow(`${join(folder.path, 'run.json')} names ${HTTP}, but nothing answers there`);
  });

  test('a given URL is taken as it is; the bootstrap token goes with it only when it is that of the run.json', async () => {
    await using folder = await tempFolder();
    await writeRunFile(folder.path, runFile(HTTP, 'secret'));
    const look = (url: string) =>
      discover({
        url,
        dataFolder: folder.path,
        currentFolder: '/',
        cloneFolder: '/',
        answers: () => Promise.reject(new Error('asked')),
      });
    expect(await look('http://elsewhere.example:8080/')).toEqual({ url: 'http://elsewhere.example:8080' });
    expect(await look('https://127.0.0.1:18443')).toEqual({ url: 'https://127.0.0.1:18443', bootstrapToken: 'secret' });
  });
});

test.each(['x', 'ftp://h', 'http://h/path', 'http://u:p@h', 'http://h?x=1'])('%s is not a gateway URL', (url) => {
  expect(() => normaliseUrl(url)).toThrow(UsageError);
});
