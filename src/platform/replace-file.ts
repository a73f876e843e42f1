import { rename, writeFile } from 'node:fs/promises';

/** Replaces a file as a whole: a reader sees the old content or the new one, never a part. */
export async function replaceFile(file: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const fresh = `${file}.${process.pid}.new`;
  await writeFile(fresh, content, { mode });
  await rename(fresh, file);
}
