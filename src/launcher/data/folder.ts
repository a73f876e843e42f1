import { chmod, mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where everything is kept that the development gateway keeps. Deleting the folder starts over. */
export interface DataFolder extends AsyncDisposable {
  readonly root: string;
  readonly runFile: string;
  readonly portsFile: string;
  readonly nodePortsFile: string;
  readonly logs: string;
  readonly mail: string;
  readonly keys: string;
  readonly tls: string;
  /** Certificates of the parts among each other. */
  readonly internalTls: string;
  readonly nats: string;
  readonly envoy: string;
  readonly xds: string;
  /** Compiled code of the Node programs, so that a warm start does not compile again. */
  readonly compileCache: string;
  /** Unix sockets; removed at the end when they do not fit into the folder. */
  readonly sockets: string;
}

/** sockaddr_un holds 108 bytes with the closing zero on Linux, 104 on others; the longest name is `/hasher.sock`. */
const SOCKET_PATH_MAX_BYTES = 103;
const LONGEST_SOCKET_NAME = '/hasher.sock';

/** Makes the folder and its parts; secrets and mail are readable by the owner alone. */
export async function openDataFolder(path: string): Promise<DataFolder> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const root = await realpath(path);
  const part = async (name: string): Promise<string> => {
    const folder = join(root, name);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    return folder;
  };
  const inside = join(root, 'sockets');
  const fits = socketsFit(inside);
  const sockets = fits ? await part('sockets') : await mkdtemp(join(tmpdir(), 'gateway-sockets-'));
  return {
    root,
    runFile: join(root, 'run.json'),
    portsFile: join(root, 'ports.json'),
    nodePortsFile: join(root, 'node-ports.json'),
    logs: await part('logs'),
    mail: await part('mail'),
    keys: await part('keys'),
    tls: await part('tls'),
    internalTls: await part(join('tls', 'internal')),
    nats: await part('nats'),
    envoy: await part('envoy'),
    xds: await part('xds'),
    compileCache: await part('compile-cache'),
    sockets,
    async [Symbol.asyncDispose]() {
      if (!fits) await rm(sockets, { recursive: true, force: true });
    },
  };
}

/** Whether the paths of sockets in this folder are short enough for the kernel. */
export const socketsFit = (folder: string): boolean =>
  Buffer.byteLength(folder + LONGEST_SOCKET_NAME) <= SOCKET_PATH_MAX_BYTES;
