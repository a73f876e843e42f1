import { createHash } from 'node:crypto';
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Log } from './log.ts';

/** Files change one after the other: all are read when nothing more has happened for this long. */
const QUIET_MS = 200;
/** Folders that are replaced whole (mounted secrets) are not always seen by a watch. */
const LOOK_EVERY_MS = 30_000;

export interface WatchFilesOptions<Name extends string> {
  /** Paths by a name of the caller's. */
  readonly files: Readonly<Record<Name, string>>;
  /** What the files are, for the log: `edge certificate`. */
  readonly what: string;
  /** Given the texts of all; what it throws is logged, and what was before stays in force. */
  readonly onChange: (texts: Readonly<Record<Name, string>>) => void;
  readonly log: Log;
}

/**
 * Reads small files that belong together, and again whenever one of them changes.
 * @throws when they cannot be read at the start, or what `onChange` throws then
 */
export async function watchFiles<Name extends string>(options: WatchFilesOptions<Name>): Promise<Disposable> {
  const { files, what, log } = options;
  const paths = Object.entries<string>(files);
  let last = '';
  const load = async (): Promise<void> => {
    const read = paths.map(async ([name, path]) => [name, await readFile(path, 'utf8')] as const);
    const texts = Object.fromEntries(await Promise.all(read)) as Record<Name, string>;
    const digest = createHash('sha256').update(JSON.stringify(texts)).digest('hex');
    if (digest === last) return;
    options.onChange(texts);
    last = digest;
    log.info({ files }, `${what} in force`);
  };
  await load();
  let quiet: NodeJS.Timeout | undefined;
  const look = (): void => {
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      load().catch((error: unknown) => log.error({ err: error }, `${what} not taken over`));
    }, QUIET_MS);
  };
  const folders = new Set(paths.map(([, path]) => dirname(path)));
  const watchers = [...folders].map((folder) => watch(folder, look));
  for (const watcher of watchers) {
    watcher.on('error', (error) => log.warn({ err: error }, `folder of the ${what} not watched`));
  }
  const timer = setInterval(look, LOOK_EVERY_MS);
  timer.unref();
  return {
    [Symbol.dispose]: () => {
      clearTimeout(quiet);
      clearInterval(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
}
