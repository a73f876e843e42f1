import { chmodSync } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';

/**
 * Listens on a unix socket that only this user can open (0600). A socket left over by a killed process is removed;
 * one that answers is not. @throws Error when the path is taken by a living process or by something that is no socket.
 */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  const present = await lstat(path).catch(() => undefined);
  if (present !== undefined) {
    if (!present.isSocket()) throw new Error(`${path} exists and is no socket`);
    if (await answers(path)) throw new Error(`another process listens on ${path}`);
    await unlink(path);
  }
  // The mask is in force for the moment in which the socket file is made: there is no time with a wider mode.
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } finally {
    process.umask(mask);
  }
  chmodSync(path, 0o600);
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
