import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HEAP_FLAGS } from '#platform/heap-flags.ts';

const ROOT = join(import.meta.dirname, '../..');
const IMPORT = /(?:from\s+|import\s+|import\()'([^']+)'/g;
const LAYERS: Readonly<Record<string, string>> = {
  '#domain/': 'src/domain/',
  '#ports/': 'src/ports/',
  '#app/': 'src/app/',
  '#adapters/': 'src/adapters/',
  '#platform/': 'src/platform/',
};

/** The file of ours that an import names, relative to the root; undefined for a package. */
function resolveImport(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return relative(ROOT, join(ROOT, dirname(from), specifier));
  const layer = Object.keys(LAYERS).find((prefix) => specifier.startsWith(prefix));
  return layer === undefined ? undefined : `${LAYERS[layer]}${specifier.slice(layer.length)}`;
}

/** Every file of ours that a program loads, itself included. */
function closure(entry: string): Set<string> {
  const found = new Set<string>();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file)) continue;
    found.add(file);
    for (const [, specifier] of readFileSync(join(ROOT, file), 'utf8').matchAll(IMPORT)) {
      const imported = resolveImport(file, specifier ?? '');
      if (imported !== undefined) waiting.push(imported);
    }
  }
  return found;
}

/** The sources of the last stage's COPY lines, without those from another stage. */
const copied = (dockerfile: string): string[] =>
  [
    ...(readFileSync(join(ROOT, dockerfile), 'utf8')
      .split(/^FROM /m)
      .at(-1)
      ?.matchAll(/^COPY (?!--from)(.+)$/gm) ?? []),
  ].flatMap(([, words]) => (words ?? '').split(' ').slice(0, -1));

const covered = (file: string, sources: readonly string[]): boolean =>
  sources.some((source) => file === source || file.startsWith(`${source}/`));

describe.each([
  { dockerfile: 'Dockerfile.authz', entries: ['src/authz/main.ts', 'src/hasher/main.ts'] },
  { dockerfile: 'Dockerfile.xds', entries: ['xds/main.ts'] },
])('$dockerfile', ({ dockerfile, entries }) => {
  const loaded = new Set(entries.flatMap((entry) => [...closure(entry)]));
  const sources = copied(dockerfile);

  it('copies every file its programs load', () => {
    expect([...loaded].filter((file) => !covered(file, sources))).toEqual([]);
  });

  it('starts its program as the development gateway does', () => {
    const command = JSON.parse(/^CMD (.+)$/m.exec(readFileSync(join(ROOT, dockerfile), 'utf8'))?.[1] ?? '');
    expect(command).toEqual(['node', ...HEAP_FLAGS, entries[0]]);
  });

  it('copies nothing that does not exist or that nothing loads', () => {
    expect(sources.filter((source) => !existsSync(join(ROOT, source)))).toEqual([]);
    const code = sources.filter((source) => /^(src|xds)\b/.test(source));
    expect(code.filter((source) => ![...loaded].some((file) => covered(file, [source])))).toEqual([]);
  });
});

it('finds a file that a COPY list forgets', () => {
  expect(covered('src/cli/main.ts', ['src/app', 'src/cli2'])).toBe(false);
});
