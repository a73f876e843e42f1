import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesIn, read } from './tree.ts';

const FILE_MAX_LINES = 300;
const FILE_HARD_MAX_LINES = 400;
const TEST_MAX_LINES = 500;
const MAIN_MAX_LINES = 150;
const FOLDER_MAX_FILES = 15;

/** Files above the limit, each with the reason. None may pass the hard limit. */
const LONGER: Readonly<Record<string, string>> = {};

/** Folders above the limit, each with the reason. */
const FULLER: Readonly<Record<string, string>> = {};

const CODE = filesIn(['src/', 'xds/', 'scripts/', 'bin/', 'test/', 'bench/', 'proto/generate/']).filter((file) =>
  /\.(ts|mjs|go|py)$/.test(file),
);

const lines = (file: string): number => read(file).split('\n').length - 1;

function limitOf(file: string): number {
  if (/(^|\/)main\.ts$/.test(file)) return MAIN_MAX_LINES;
  if (file.startsWith('test/')) return TEST_MAX_LINES;
  return LONGER[file] === undefined ? FILE_MAX_LINES : FILE_HARD_MAX_LINES;
}

/** Files directly in each folder. */
function folderCounts(files: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const file of files) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  return counts;
}

describe('sizes', () => {
  test('no file is longer than its limit', () => {
    expect(CODE.filter((file) => lines(file) > limitOf(file)).map((file) => `${file}: ${lines(file)} lines`)).toEqual(
      [],
    );
  });

  test('no folder holds more files than one can look through', () => {
    const full = [...folderCounts(CODE)].filter(
      ([folder, count]) => count > FOLDER_MAX_FILES && FULLER[folder] === undefined,
    );
    expect(full).toEqual([]);
  });

  test('no exception outlives its need', () => {
    const counts = folderCounts(CODE);
    expect(Object.keys(LONGER).filter((file) => !CODE.includes(file) || lines(file) <= FILE_MAX_LINES)).toEqual([]);
    expect(Object.keys(FULLER).filter((folder) => (counts.get(folder) ?? 0) <= FOLDER_MAX_FILES)).toEqual([]);
  });

  test('the limits catch what they should', () => {
    expect(limitOf('src/domain/x.ts')).toBe(300);
    expect(limitOf('src/authz/main.ts')).toBe(150);
    expect(limitOf('test/unit/x.test.ts')).toBe(500);
    expect(folderCounts(['a/b.ts', 'a/c.ts', 'a/d/e.ts']).get('a')).toBe(2);
  });
});
