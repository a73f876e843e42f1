import { createHash } from 'node:crypto';
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Log } from '#platform/log.ts';

/** Files change one after the other: both are read when nothing more has happened for this long. */
const QUIET_MS = 200;
/** Folders that are replaced whole (mounted secrets) are not always seen by a watch. */
const LOOK_EVERY_MS = 30_000;

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/**
 * Reads the edge's certificate and key, and again whenever one of the files changes.
 * @param onChange given the PEM texts of both; what it throws is logged, and the pair before stays in force
 * @throws when the files cannot be read at the start
 */
export async function watchTlsFiles(options: {
  readonly files: CertificateFiles;
  readonly onChange: (certificate: string, key: string) => void;
  readonly log: Log;
}): Promise<Disposable> {
  const { files, log } = options;
  let last = '';
  const load = async (): Promise<void> => {
    const [certificate, key] = await Promise.all([readFile(files.certificate, 'utf8'), readFile(files.key, 'utf8')]);
    const digest = createHash('sha256').update(certificate).update('\0').update(key).digest('hex');
    if (digest === last) return;
    options.onChange(certificate, key);
    last = digest;
    log.info({ certificate: files.certificate }, 'edge certificate in force');
  };
  await load();
  let quiet: NodeJS.Timeout | undefined;
  const look = (): void => {
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      load().catch((error: unknown) => log.error({ err: error }, 'edge certificate not taken over'));
    }, QUIET_MS);
  };
  const folders = new Set([dirname(files.certificate), dirname(files.key)]);
  const watchers = [...folders].map((folder) => watch(folder, look));
  for (const watcher of watchers)
    watcher.on('error', (error) => log.warn({ err: error }, 'certificate folder not watched'));
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
