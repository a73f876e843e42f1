import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDataFolder, socketsFit } from '../../../src/launcher/data/folder.ts';
import { keepSecret } from '../../../src/launcher/data/keys.ts';
import { recordNodePorts } from '../../../src/launcher/data/node-history.ts';
import { type RunFile, RunFileWriter } from '../../../src/launcher/run-file.ts';
import { openLog, readTail } from '../../../src/launcher/supervise/log-file.ts';
import { tempFolder } from '../../support/temp-folder.ts';

test('a secret is made once, 32 bytes for the owner alone, and kept', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'master.key');
  const secret = await keepSecret(file);
  expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await keepSecret(file)).toBe(secret);
});

test('a damaged secret is refused, never replaced', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'master.key');
  await writeFile(file, 'short');
  await expect(keepSecret(file)).rejects.toThrow('does not hold 32 bytes');
  expect(await readFile(file, 'utf8')).toBe('short');
});

test('sockets lie in the data folder, or elsewhere when their paths would be too long', async () => {
  await using folder = await tempFolder();
  await using short = await openDataFolder(join(folder.path, 'data'));
  expect(short.sockets).toBe(join(short.root, 'sockets'));
  const long = await openDataFolder(join(folder.path, 'x'.repeat(100)));
  expect(long.sockets.startsWith(long.root)).toBe(false);
  expect(socketsFit(long.sockets)).toBe(true);
  expect((await stat(long.sockets)).mode & 0o777).toBe(0o700);
  await long[Symbol.asyncDispose]();
  await expect(stat(long.sockets)).rejects.toThrow('ENOENT');
});

const RUN: RunFile = {
  http: 'http://127.0.0.1:8080',
  https: 'https://localhost:8443',
  ca: '/ca.pem',
  nats: 'nats://127.0.0.1:1',
  xds: { grpc: '127.0.0.1:2', http: 'http://127.0.0.1:3' },
  authz: { http: 'http://127.0.0.1:4' },
  envoyAdmin: 'http://127.0.0.1:5',
  nodes: [],
  bootstrapToken: 'secret',
  mailDir: '/mail',
  pids: { nats: 1 },
};

test('run.json is replaced as a whole, in order, and gone for good at the end', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'run.json');
  const writer = new RunFileWriter(file);
  await Promise.all([1, 2, 3].map((pid) => writer.write({ ...RUN, pids: { nats: pid } })));
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ ...RUN, pids: { nats: 3 } });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await Promise.all([writer.remove(), writer.write(RUN)]);
  expect(await readdir(folder.path)).toEqual([]);
});

test('a log is appended to, and put aside before a start when it has grown beyond 10 MiB', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'xds.log');
  await writeFile(file, 'old line\n');
  const log = openLog(file);
  log.close();
  await writeFile(file, 'new one\nnew two\nnew three\n', { flag: 'a' });
  expect(readTail(file, log.startsAt, 2)).toEqual(['new two', 'new three']);
  expect(readTail(file, log.startsAt, 9)).toEqual(['new one', 'new two', 'new three']);
  expect(readTail(join(folder.path, 'none.log'), 0, 9)).toEqual([]);

  await writeFile(file, Buffer.alloc(10 * 1_048_576 + 1));
  const fresh = openLog(file);
  fresh.close();
  expect(fresh.startsAt).toBe(0);
  expect((await readdir(folder.path)).sort()).toEqual(['xds.log', 'xds.log.1']);
});

test('the ports the nodes had are remembered, the newest owner last', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'node-ports.json');
  const first = [[1, 'node.runner.s1'] as const, [2, 'node.runner.s2'] as const];
  expect(await recordNodePorts(file, first)).toEqual(first);
  expect(await recordNodePorts(file, first)).toEqual(first);
  const swapped = [[2, 'node.runner.s1'] as const, [3, 'node.runner.s2'] as const];
  expect(await recordNodePorts(file, swapped)).toEqual([...first, ...swapped]);
  const many = Array.from({ length: 300 }, (_, index) => [1_000 + index, 'node.runner.s1'] as const);
  expect(await recordNodePorts(file, many)).toEqual(many.slice(-200));
  expect(await recordNodePorts(file, many.slice(-1))).toEqual(many.slice(-200));
});
