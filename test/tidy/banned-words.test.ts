import { describe, expect, test } from 'vitest';
import { FILES, read } from './tree.ts';

/** Pieces are joined so that this file does not hold what it looks for. */
const path = (...parts: readonly string[]): string => `(?<![\\w.$}-])/${parts.join('/')}`;

/** What must not be in the repository, and why. */
const BANNED: readonly (readonly [name: string, pattern: RegExp])[] = [
  [
    'a path of one machine',
    new RegExp(`${path('work', '')}|${path('root', '')}|${path('home', '[a-z]')}|${path('Users', '[a-z]')}`),
  ],
  ['a fixed name in the shared temporary folder', new RegExp(path('tmp', '[\\w-]'))],
  [
    'the host of a package registry',
    new RegExp(
      [
        ['registry', 'npmjs', 'org'],
        ['pypi', 'org'],
        ['files', 'pythonhosted', 'org'],
        ['proxy', 'golang', 'org'],
        ['registry', 'yarnpkg', 'com'],
      ]
        .map((host) => host.join('\\.'))
        .join('|'),
    ),
  ],
  [
    'a promise instead of work',
    new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|${['XX', 'X'].join('')})\\b`),
  ],
  ['a conflict mark', new RegExp(`^(${'<'.repeat(7)}|${'>'.repeat(7)}) `, 'm')],
];

const TEXTS = FILES.filter((file) => file !== 'package-lock.json' && !file.endsWith('go.sum'));

/** The place of the first match, so that it can be found. */
function findBanned(file: string, text: string): readonly string[] {
  return BANNED.flatMap(([name, pattern]) => {
    const match = pattern.exec(text);
    if (match === null) return [];
    return [`${file}:${text.slice(0, match.index).split('\n').length}: ${name} (${match[0]})`];
  });
}

describe('banned words', () => {
  test('are nowhere', () => {
    expect(TEXTS.flatMap((file) => findBanned(file, read(file)))).toEqual([]);
  });

  test.each([
    `see /${'work'}/main`,
    `'/${'root'}/x'`,
    `/${'home'}/ann`,
    `/${'tmp'}/socket`,
    `https://${['registry', 'npmjs', 'org'].join('.')}/x`,
    `// ${'TO'}${'DO'}: later`,
    `${'<'.repeat(7)} HEAD`,
  ])('%s is found', (text) => {
    expect(findBanned('x', text)).toHaveLength(1);
  });

  test.each(['networks/work/x', 'https://example.com/home', 'tmpdir()', 'the root / of all'])('%s is fine', (text) => {
    expect(findBanned('x', text)).toEqual([]);
  });
});
