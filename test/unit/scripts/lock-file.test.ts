import { expect, test } from 'vitest';
import { isInstalled } from '../../../scripts/lib/lock-file.mjs';

const packages = (...names: readonly string[]) =>
  names.map((name) => [`node_modules/${name.split('@')[0]}`, { version: name.split('@')[1] }] as const);
const lock = (optional: readonly string[], ...names: readonly string[]) =>
  JSON.stringify({
    packages: Object.fromEntries([
      ['', { version: '0.1.0' }],
      ...packages(...names),
      ...packages(...optional).map(([path, entry]) => [path, { ...entry, optional: true }] as const),
    ]),
  });
const record = (...names: readonly string[]) => JSON.stringify({ packages: Object.fromEntries(packages(...names)) });
const all = () => true;

test('the packages of the lock file count as installed, those of other platforms left out', () => {
  expect(isInstalled(lock([], 'a@1', 'b@2'), record('a@1', 'b@2'), all)).toBe(true);
  expect(isInstalled(lock(['win@1', 'linux@1'], 'a@1'), record('a@1', 'linux@1'), all)).toBe(true);
});

test('anything missing, other, left over or deleted by hand does not', () => {
  expect(isInstalled(lock([], 'a@1'), undefined, all)).toBe(false);
  expect(isInstalled(lock([], 'a@1', 'b@2'), record('a@1'), all)).toBe(false);
  expect(isInstalled(lock([], 'a@2'), record('a@1'), all)).toBe(false);
  expect(isInstalled(lock(['linux@2']), record('linux@1'), all)).toBe(false);
  expect(isInstalled(lock([], 'a@1'), record('a@1', 'old@1'), all)).toBe(false);
  expect(isInstalled(lock([], 'a@1'), record('a@1'), () => false)).toBe(false);
});
