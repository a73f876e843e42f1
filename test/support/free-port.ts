import { createServer } from 'node:net';

/**
 * A TCP port on loopback that was free a moment ago. The kernel hands out others first, so that two calls rarely meet;
 * a server that can bind port 0 itself should do that instead.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}
