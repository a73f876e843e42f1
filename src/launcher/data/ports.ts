import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { replaceFile } from '#platform/replace-file.ts';
import { StartError } from '../start-error.ts';

/** A port to have. With `fixed` it is that port or nothing, and `variable` is the setting to name when it is taken. */
export interface PortWish<Name extends string> {
  readonly name: Name;
  readonly host: string;
  readonly fixed?: { readonly port: number; readonly variable: string };
}

const FIRST_PORT = 20_000;
const PORTS_COUNT = 12_000;
const ATTEMPTS_MAX_COUNT = 100;

/**
 * Finds a port for each name: the fixed one, else the one of the last start when it is free, else a new one. All are
 * held open until every name has its own, so that no two get the same; then they are closed for the programs to take.
 * @throws StartError when a fixed port is taken
 */
export async function choosePorts<Name extends string>(
  wishes: readonly PortWish<Name>[],
  kept: ReadonlyMap<string, number>,
): Promise<Record<Name, number>> {
  const held: Server[] = [];
  const ports: Record<string, number> = {};
  try {
    // Fixed ports first, then kept ones: a new free port must not be one that a later wish asks for.
    for (const wish of [...wishes].sort((one, other) => rank(one, kept) - rank(other, kept))) {
      const server = await holdPort(wish, kept);
      held.push(server);
      ports[wish.name] = portOf(server);
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
  return ports as Record<Name, number>;
}

const rank = (wish: PortWish<string>, kept: ReadonlyMap<string, number>): number =>
  wish.fixed !== undefined ? 0 : kept.has(wish.name) ? 1 : 2;

async function holdPort(wish: PortWish<string>, kept: ReadonlyMap<string, number>): Promise<Server> {
  if (wish.fixed !== undefined) {
    const { port, variable } = wish.fixed;
    return listen(wish.host, port).catch((error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be had (${error.message})`;
      throw new StartError(`port ${port} on ${wish.host} ${reason}: set ${variable} to a free one`, { cause: error });
    });
  }
  const keptPort = kept.get(wish.name);
  if (keptPort === undefined) return listenSomewhere(wish.host);
  return listen(wish.host, keptPort).catch(() => listenSomewhere(wish.host));
}

/**
 * A free port below the range from which the system takes ports for outgoing connections: between now and the child's
 * start, or its restart, one of those could be given away.
 */
async function listenSomewhere(host: string): Promise<Server> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX_COUNT; attempt += 1) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS_COUNT);
    const server = await listen(host, port).catch(() => undefined);
    if (server !== undefined) return server;
  }
  return listen(host, 0);
}

function listen(host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

/** The ports of the last start; a missing or damaged file is none: new ports are as good. */
export async function readKeptPorts(file: string): Promise<ReadonlyMap<string, number>> {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null) return new Map();
    return new Map(Object.entries(parsed).filter((entry): entry is [string, number] => isPort(entry[1])));
  } catch {
    return new Map();
  }
}

const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) > 0 && Number(value) <= 65_535;

/** Remembers the ports for the next start. */
export const writeKeptPorts = (file: string, ports: Readonly<Record<string, number>>): Promise<void> =>
  replaceFile(file, `${JSON.stringify(ports, null, 2)}\n`);
