import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { replaceFile } from '#platform/replace-file.ts';
import { StartError } from '../start-error.ts';

const SECRET_BYTES = 32;

/**
 * A secret of 256 random bits as base64url in a file of mode 0600, made at first use and the same ever after.
 * @throws StartError when the file holds something else: a new secret would make everything sealed under the old one
 * unreadable, so it is not replaced.
 */
export async function keepSecret(file: string): Promise<string> {
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (kept === undefined) {
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    await replaceFile(file, `${secret}\n`);
    return secret;
  }
  const secret = kept.trim();
  if (Buffer.from(secret, 'base64url').length === SECRET_BYTES) return secret;
  throw new StartError(
    `${file} does not hold ${SECRET_BYTES} bytes in base64url; restore it, or delete the data folder`,
  );
}
