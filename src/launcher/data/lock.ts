import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartError } from '../start-error.ts';

const ANSWER_TIMEOUT_MS = 1_000;

/**
 * Makes this process the only launcher on a data folder. The lock is a listening socket, which the kernel closes with
 * its process however that ends: unlike a file with a process id in it, it can neither be stale nor be taken over
 * twice. On Linux its name is an abstract one, elsewhere a file that is replaced when nobody listens behind it.
 * @throws StartError naming the process that holds it
 */
export async function lockDataFolder(root: string): Promise<AsyncDisposable> {
  const id = createHash('sha256').update(root).digest('hex').slice(0, 32);
  const abstract = process.platform === 'linux';
  const path = abstract ? `\0gateway-launcher-${id}` : join(tmpdir(), `gateway-launcher-${id}`);
  const server = (await tryListen(path)) ?? (await takeOver(root, path, abstract));
  // The lock must not keep a process alive that has nothing left to do.
  server.unref();
  return {
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

async function takeOver(root: string, path: string, abstract: boolean): Promise<Server> {
  const holder = await askHolder(path);
  if (holder === undefined && !abstract) {
    await rm(path, { force: true });
    const server = await tryListen(path);
    if (server !== undefined) return server;
  }
  throw new StartError(
    `a development gateway already runs on ${root} (process ${holder ?? 'unknown'}): stop it, or set GATEWAY_DATA to ` +
      'another folder (and GATEWAY_PORT, GATEWAY_TLS_PORT to other ports)',
  );
}

function tryListen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(String(process.pid));
    });
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(path, () => resolve(server));
  });
}

/** The process id behind the lock, or undefined when nobody answers. */
function askHolder(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let answer = '';
    socket.setEncoding('utf8').setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(/^\d+$/.test(answer) ? answer : undefined));
  });
}
