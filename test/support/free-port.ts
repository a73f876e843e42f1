import { createServer } from 'node:net';

/** Below the range from which the system takes ports for outgoing connections: nobody is given one of these by chance. */
const FIRST_PORT = 20_000;
const PORTS_COUNT = 12_000;
const ATTEMPTS_MAX_COUNT = 100;

/** A TCP port on loopback that was free a moment ago. A server that can bind port 0 itself should do that instead. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX_COUNT; attempt += 1) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS_COUNT);
    if (await isFree(host, port)) return port;
  }
  throw new Error(`no free port found in ${ATTEMPTS_MAX_COUNT} attempts`);
}

function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
