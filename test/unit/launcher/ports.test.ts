import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { choosePorts, readKeptPorts, writeKeptPorts } from '../../../src/launcher/data/ports.ts';
import { freePort } from '../../support/free-port.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const host = '127.0.0.1';

/** A port that is in use while the test runs. */
async function takenPort(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer();
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  return { port, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}

test('every name gets a port of its own', async () => {
  const wishes = Array.from({ length: 20 }, (_, index) => ({ name: `p${index}`, host }));
  const ports = await choosePorts(wishes, new Map());
  expect(new Set(Object.values(ports)).size).toBe(20);
});

test('a kept port is used again while it is free and replaced when it is not', async () => {
  await using taken = await takenPort();
  const free = await freePort();
  const kept = new Map([
    ['free', free],
    ['taken', taken.port],
  ]);
  const ports = await choosePorts(
    ['taken', 'free'].map((name) => ({ name, host })),
    kept,
  );
  expect(ports['free']).toBe(free);
  expect(ports['taken']).not.toBe(taken.port);
});

test('a taken fixed port is refused, naming the variable that changes it', async () => {
  await using taken = await takenPort();
  const wish = { name: 'http', host, fixed: { port: taken.port, variable: 'GATEWAY_PORT' } };
  await expect(choosePorts([wish], new Map())).rejects.toThrow(
    `port ${taken.port} on 127.0.0.1 is in use by another program: set GATEWAY_PORT to a free one`,
  );
});

test('two names that kept one port do not share it', async () => {
  const port = await freePort();
  const ports = await choosePorts(
    ['one', 'two'].map((name) => ({ name, host })),
    new Map([
      ['one', port],
      ['two', port],
    ]),
  );
  expect(ports['one']).not.toBe(ports['two']);
});

test('ports survive the file, and a damaged file is none', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'ports.json');
  expect(await readKeptPorts(file)).toEqual(new Map());
  await writeKeptPorts(file, { nats: 4222 });
  expect(await readKeptPorts(file)).toEqual(new Map([['nats', 4222]]));
  await writeFile(file, '{"nats": "x", "xds": 70000, "ok": 1}');
  expect(await readKeptPorts(file)).toEqual(new Map([['ok', 1]]));
  await writeFile(file, '{"nats": 42');
  expect(await readKeptPorts(file)).toEqual(new Map());
});
