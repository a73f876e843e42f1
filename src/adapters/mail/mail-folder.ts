import { randomBytes } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '#platform/log.ts';
import type { Mail, Mailer } from '#ports/mailer.ts';
import { formatMail } from './format-mail.ts';

const QUEUE_MAX_COUNT = 1_000;

/**
 * Writes each mail as one `.eml` file into a folder (development, tests, or a spool that a mail server collects).
 * A file appears whole: it is written under a temporary name and renamed. Mails are written one after another,
 * behind the request, and a full queue or a failed write is logged without the text.
 */
export function createMailFolder(options: {
  readonly directory: string;
  readonly from: string;
  readonly now: () => Date;
  readonly log: Pick<Log, 'error'>;
}): Mailer & AsyncDisposable {
  let pending: Promise<void> = Promise.resolve();
  let queued = 0;
  let written = 0;
  const deliver = async (mail: Mail): Promise<void> => {
    const at = options.now();
    const id = randomBytes(12).toString('hex');
    const text = formatMail(mail, { from: options.from, date: at, messageId: id });
    written += 1;
    // Names sort in the order of sending.
    const name = `${at.toISOString().replaceAll(/[-:.]/g, '')}-${String(written).padStart(6, '0')}-${id}.eml`;
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const temporary = join(options.directory, `.${name}.tmp`);
    await writeFile(temporary, text, { mode: 0o600, flag: 'wx' });
    await rename(temporary, join(options.directory, name));
  };
  return {
    send: (mail) => {
      if (queued >= QUEUE_MAX_COUNT) {
        options.log.error({ queued }, 'mail dropped: the queue is full');
        return;
      }
      queued += 1;
      pending = pending
        .then(() => deliver(mail))
        .catch((error: unknown) => options.log.error({ err: error }, 'mail not written'))
        .finally(() => {
          queued -= 1;
        });
    },
    [Symbol.asyncDispose]: () => pending,
  };
}
