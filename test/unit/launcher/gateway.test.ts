import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Child, Stage } from '../../../src/launcher/children.ts';
import { Gateway } from '../../../src/launcher/gateway.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/wait.ts';

/** A child that is a shell script: it notes its start and its end in one file and is ready at once. */
function scripted(folder: string, name: string, stage: Stage, script = 'while :; do sleep 0.02; done'): Child {
  const journal = join(folder, 'journal');
  const text = `echo ${name} up >> ${journal}; trap 'echo ${name} down >> ${journal}; exit 0' TERM; ${script}`;
  return {
    name,
    stage,
    command: { file: 'sh', args: ['-c', text], env: process.env, logFile: join(folder, `${name}.log`) },
    ready: async () => (await journalOf(folder)).includes(`${name} up`),
  };
}

const journalOf = async (folder: string): Promise<readonly string[]> =>
  (await readFile(join(folder, 'journal'), 'utf8').catch(() => '')).trimEnd().split('\n');

function setUp(folder: string, children: readonly Child[], afterStorage = async () => {}) {
  const lines: string[] = [];
  const say = (text: string) => void lines.push(text);
  const gateway = new Gateway({
    children,
    console: { say, warn: say, print: say },
    afterStorage,
    drain: () => writeFile(join(folder, 'journal'), 'drain\n', { flag: 'a' }),
    onPids: () => {},
  });
  return { gateway, lines };
}

const never = new AbortController().signal;

test('stages start in order and end in reverse, the drain first', async () => {
  await using folder = await tempFolder();
  const children = [
    scripted(folder.path, 'envoy', 'edge'),
    scripted(folder.path, 'xds', 'services'),
    scripted(folder.path, 'nats', 'storage'),
  ];
  const seed = () => writeFile(join(folder.path, 'journal'), 'seed\n', { flag: 'a' });
  const { gateway } = setUp(folder.path, children, seed);
  await gateway.start(never);
  expect(Object.keys(gateway.pids()).sort()).toEqual(['envoy', 'nats', 'xds']);
  await gateway.stop();
  const journal = await journalOf(folder.path);
  expect(journal[0]).toBe('nats up');
  expect(journal.slice(1, 3).sort()).toEqual(['seed', 'xds up']);
  expect(journal.slice(3)).toEqual(['envoy up', 'drain', 'envoy down', 'xds down', 'nats down']);
  expect(gateway.pids()).toEqual({});
});

test('a child that dies is named and runs again under another process id', async () => {
  await using folder = await tempFolder();
  const { gateway, lines } = setUp(folder.path, [scripted(folder.path, 'xds', 'services')]);
  await gateway.start(never);
  const pid = gateway.pids()['xds'] ?? 0;
  process.kill(pid, 'SIGKILL');
  const again = await until(
    () => {
      const now = gateway.pids()['xds'];
      return now !== pid && now;
    },
    { deadlineMs: 10_000, what: 'the restart' },
  );
  expect(lines[0]).toContain('xds was killed by SIGKILL; starting it again in 0.1 s');
  await until(() => lines.includes(`xds runs again (process ${again})`), { deadlineMs: 5_000, what: 'the line' });
  await gateway.stop();
});

test('one that cannot start ends the start with the end of its own log, and everything is stopped', async () => {
  await using folder = await tempFolder();
  await writeFile(join(folder.path, 'xds.log'), 'from an earlier start\n');
  const broken = {
    ...scripted(folder.path, 'xds', 'services', 'echo "no configuration"; exit 2'),
    ready: async () => false,
  };
  const { gateway } = setUp(folder.path, [scripted(folder.path, 'nats', 'storage'), broken]);
  const failure = await gateway.start(never).catch((error: unknown) => String(error));
  expect(failure).toContain('xds ended with exit code 2');
  expect(failure).toContain('no configuration');
  expect(failure).not.toContain('from an earlier start');
  await gateway.stop();
  expect(gateway.pids()).toEqual({});
});

test('a stuck preparation does not keep a failed or cancelled start waiting', async () => {
  await using folder = await tempFolder();
  const { gateway } = setUp(folder.path, [scripted(folder.path, 'nats', 'storage')], () => new Promise(() => {}));
  const cancel = new AbortController();
  const started = gateway.start(cancel.signal);
  await until(() => gateway.pids()['nats'], { deadlineMs: 5_000, what: 'nats' });
  cancel.abort();
  await expect(started).rejects.toThrow('abort');
  await gateway.stop();
});

test('a socket left by a killed predecessor is removed before the start', async () => {
  await using folder = await tempFolder();
  const socket = join(folder.path, 'authz.sock');
  await writeFile(socket, '');
  const check = `test -e ${socket} && exit 1; while :; do sleep 0.02; done`;
  const { gateway } = setUp(folder.path, [{ ...scripted(folder.path, 'authz', 'services', check), socket }]);
  await gateway.start(never);
  await gateway.stop();
});
