import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '#domain/limits.ts';
import { decodeKnownGood, encodeKnownGood, type KnownGood } from './known-good.ts';

const FILE = 'last-known-good';
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** What a start finds on the disk. */
export type FoundState =
  /** No folder is configured, or nothing was ever kept in it. */
  | { readonly kind: 'none' }
  | { readonly kind: 'good'; readonly content: KnownGood }
  /** Something is there that must not be served. */
  | { readonly kind: 'refused'; readonly reason: string };

/** Reads what was kept. Never throws: a file that cannot be read is one that is not served. */
export async function readState(folder: string): Promise<FoundState> {
  const path = join(folder, FILE);
  try {
    const { size } = await stat(path);
    if (size > LIMITS.routingDocumentMaxBytes) return { kind: 'refused', reason: `${path} has ${size} bytes` };
    const decoded = decodeKnownGood(await readFile(path));
    if (decoded.ok) return { kind: 'good', content: decoded.value };
    return { kind: 'refused', reason: `${path} ${decoded.error}` };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { kind: 'none' };
    return { kind: 'refused', reason: `${path} cannot be read: ${codeOf(error)}` };
  }
}

/**
 * Replaces what is kept. After a crash at any moment, of the process or of the machine, the old content or the new one
 * is there, whole: the bytes are on the disk before the name is, and the name is before this returns.
 * @throws an Error of node:fs
 */
export async function writeState(folder: string, content: KnownGood): Promise<void> {
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  const path = join(folder, FILE);
  const fresh = `${path}.new`;
  {
    await using file = await open(fresh, 'w', FILE_MODE);
    await file.writeFile(encodeKnownGood(content));
    await file.sync();
  }
  await rename(fresh, path);
  await using directory = await open(folder, 'r');
  await directory.sync();
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error);
