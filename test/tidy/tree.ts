import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The repository's root folder, with a slash at the end. */
export const ROOT = new URL('../..', import.meta.url).pathname;

/** Made by tools or by running the gateway, never part of the repository (see .gitignore). */
const SKIPPED_FOLDERS = new Set(['node_modules', '.git', '.tools', '.data', 'coverage']);
const BINARY = /\.(binpb|png|ico|zst|pem)$/;

/** Every text file of the repository as a path relative to the root, sorted. Read once per test process. */
export const FILES: readonly string[] = walk('').toSorted();

/** Those below one of the folders. */
export const filesIn = (folders: readonly string[]): readonly string[] =>
  FILES.filter((file) => folders.some((folder) => file.startsWith(folder)));

export const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** TypeScript and JavaScript without comments, good enough to look for names; strings stay as they are. */
export const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|[\s;{}(,])\/\/[^\n]*/g, '$1');

function walk(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : walk(`${path}/`);
    return entry.isFile() && !BINARY.test(path) && !path.endsWith('.log') ? [path] : [];
  });
}

/** The cells of every row of the Markdown tables in a text, code marks removed; head and rule lines left out. */
export function tableRows(markdown: string): readonly (readonly string[])[] {
  const lines = markdown.split('\n');
  return lines.flatMap((line, index) => {
    const isRow = line.startsWith('|') && !isRule(line) && !isRule(lines[index + 1] ?? '');
    // A bar inside a cell is written as \| in Markdown.
    return isRow
      ? [
          line
            .slice(1, line.lastIndexOf('|'))
            .split(/(?<!\\)\|/)
            .map((cell) => cell.trim().replaceAll('`', '')),
        ]
      : [];
  });
}

const isRule = (line: string): boolean => /^\|[\s:|-]+\|$/.test(line);

/** The part of a Markdown text below a heading, up to the next heading of the same or a higher level. */
export function section(markdown: string, heading: string): string {
  const lines = markdown.split('\n');
  const start = lines.indexOf(heading);
  if (start === -1) throw new Error(`no heading "${heading}"`);
  const level = heading.split(' ')[0]?.length ?? 1;
  const end = lines.findIndex(
    (line, index) => index > start && /^#+ /.test(line) && (line.split(' ')[0]?.length ?? 9) <= level,
  );
  return lines.slice(start + 1, end === -1 ? undefined : end).join('\n');
}
