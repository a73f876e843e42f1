import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { FILES, ROOT, read } from './tree.ts';

const DOCUMENTS = FILES.filter((file) => file.endsWith('.md'));
const PATH = /`((?:src|xds|test|docs|proto|scripts|envoy|bench|swarm|bin)\/[^`\s*{}<>]*)`/g;
const LINK = /\]\(([^)#\s]+)(?:#[^)]*)?\)/g;

const named = (text: string, pattern: RegExp): readonly string[] =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? '');

test('every file and folder that a document names exists', () => {
  const missing = DOCUMENTS.flatMap((file) =>
    named(read(file), PATH)
      .filter((path) => !existsSync(join(ROOT, path)))
      .map((path) => `${file} names ${path}`),
  );
  expect(missing).toEqual([]);
});

test('every link to a file of the repository leads there', () => {
  const broken = DOCUMENTS.flatMap((file) =>
    named(read(file), LINK)
      .filter((link) => !/^[a-z]+:/.test(link) && !existsSync(join(ROOT, dirname(file), link)))
      .map((link) => `${file} links to ${link}`),
  );
  expect(broken).toEqual([]);
});

test('paths and links are really found', () => {
  expect(named('see `src/domain/x.ts` and `npm test`', PATH)).toEqual(['src/domain/x.ts']);
  expect(named('[a](docs/x.md#y) [b](https://example.com/z)', LINK)).toEqual(['docs/x.md', 'https://example.com/z']);
});
