import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { findOrphans } from '../../src/launcher/data/orphans.ts';
import { curlLines } from '../../src/launcher/screen.ts';
import { type RunningGateway, startGateway } from '../support/launcher.ts';
import { until } from '../support/wait.ts';

/** The development gateway as `npm start` runs it: design section 5.1. */
let gateway: RunningGateway;
beforeAll(async () => {
  gateway = await startGateway();
  return () => gateway[Symbol.asyncDispose]();
});

const CHILDREN = [
  ...['authz', 'envoy', 'hasher', 'nats'],
  ...['aggregate', 'projection', 'runner'].flatMap((kind) => [`node.${kind}.s1`, `node.${kind}.s2`]),
  'xds',
];

const isReady = async (): Promise<boolean> => {
  const response = await fetch(`${(await gateway.run()).http}/ready`, { signal: AbortSignal.timeout(2_000) });
  await response.arrayBuffer();
  return response.status === 200;
};
const untilReady = () => until(isReady, { deadlineMs: 60_000, what: 'the gateway to be ready again' });

test('it prints the ready line alone, three lines to copy, and where to look', async () => {
  const { http } = await gateway.run();
  const lines = gateway.output().split('\n');
  expect(lines).toContain(`gateway ready ${http}`);
  for (const line of curlLines(http)) expect(lines).toContain(line);
  expect(gateway.output()).not.toContain('\u001b[');
});

test('run.json says what runs where, as the contract has it', async () => {
  const run = await gateway.run();
  const url = expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(run).toEqual({
    http: url,
    https: expect.stringMatching(/^https:\/\/localhost:\d+$/),
    ca: join(gateway.dataFolder, 'tls', 'ca.pem'),
    nats: expect.stringMatching(/^nats:\/\/127\.0\.0\.1:\d+$/),
    xds: { grpc: expect.stringMatching(/^127\.0\.0\.1:\d+$/), http: url },
    authz: { http: url },
    envoyAdmin: url,
    nodes: CHILDREN.filter((name) => name.startsWith('node.')).map((name) => {
      const [, kind, shard] = name.split('.');
      return { kind, shard, address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) };
    }),
    bootstrapToken: expect.stringMatching(/^[\w-]{43}$/),
    mailDir: join(gateway.dataFolder, 'mail'),
    pids: expect.any(Object),
  });
  expect(Object.keys(run.pids).sort()).toEqual(CHILDREN);
});

test.each(CHILDREN)(
  'kill -9 of %s: it is said, it runs again, run.json follows, the gateway is ready',
  async (name) => {
    const pid = await gateway.kill(name);
    const again = await gateway.restarted(name, pid);
    expect(process.kill(again, 0)).toBe(true);
    expect(gateway.output()).toContain(`${name} was killed by SIGKILL; starting it again`);
    await untilReady();
  },
);

test('a second launcher on the same data is refused and disturbs nothing', async () => {
  const before = await gateway.run();
  await expect(startGateway({ dataFolder: gateway.dataFolder })).rejects.toThrow(
    `a development gateway already runs on ${gateway.dataFolder} (process ${gateway.pid()})`,
  );
  expect(await gateway.run()).toEqual(before);
});

test('a killed launcher does not hinder the next start, which takes the same ports', async () => {
  const before = await gateway.run();
  await gateway.killLauncher();
  await gateway.start();
  const after = await gateway.run();
  expect({ ...after, pids: {} }).toEqual({ ...before, pids: {} });
  expect(Object.values(after.pids).filter((pid) => Object.values(before.pids).includes(pid))).toEqual([]);
  expect(gateway.output()).toContain(`ended ${CHILDREN.length} processes of a gateway that was killed`);
});

test('it stops everything when whoever started it dies, though nobody can read that any more', async () => {
  expect(await gateway.abandon()).toBe(0);
  expect(await findOrphans(gateway.dataFolder)).toEqual([]);
  await expect(access(join(gateway.dataFolder, 'run.json'))).rejects.toThrow('ENOENT');
  await gateway.start();
});

test('SIGTERM stops everything with exit code 0 and removes run.json; the next start finds its data', async () => {
  const { bootstrapToken } = await gateway.run();
  expect(await gateway.stop()).toBe(0);
  await expect(access(join(gateway.dataFolder, 'run.json'))).rejects.toThrow('ENOENT');
  expect(await findOrphans(gateway.dataFolder)).toEqual([]);
  await gateway.start();
  expect((await gateway.run()).bootstrapToken).toBe(bootstrapToken);
  expect(await isReady()).toBe(true);
});
