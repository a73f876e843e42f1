import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli, tempFolder } from './harness.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

const routed = (members: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    request_id: 'req-1',
    correlation_id: 'corr-1',
    trace_id: TRACE,
    decision_id: 'dec_1',
    outcome: 'allow',
    decided_revision: '7',
    decided_cluster: 'projection/s1',
    routed_revision: '7',
    upstream_cluster: 'projection/s1',
    ...members,
  });
const DENIED = JSON.stringify({
  request_id: 'req-2',
  decision_id: 'dec_2',
  outcome: 'deny',
  reason: 'tenant_forbidden',
  decided_revision: '7',
  routed_revision: '7',
});
const DENIAL = JSON.stringify({ msg: 'denied', decision_id: 'dec_2', reason: 'tenant_forbidden', endpoint: 'query' });

describe('logs verify', () => {
  it('exits with 0 and counts when every line is sound', async () => {
    const { code, out } = await runCli(['logs', 'verify', '-'], { input: `${routed()}\n${DENIED}\n` });
    expect(code).toBe(0);
    expect(out).toContain('routed      1, by revisions 7 to 7');
    expect(out).toContain('denied      1');
    expect(out).toContain('every request was routed as it was decided');
  });

  it('exits with 1 and shows line and mistake when one is wrong', async () => {
    const input = `${routed()}\n${routed({ upstream_cluster: 'projection/s2', path: '/\u001b[2J' })}\n`;
    const { code, out } = await runCli(['logs', 'verify', '-'], { input });
    expect(code).toBe(1);
    expect(out).toContain('1 of 2 lines are wrong');
    expect(out).toContain('line 2: cluster_differs');
    expect(out).not.toContain('\u001b');
  });

  it('reads a file and tells JSON', async () => {
    await using folder = await tempFolder();
    const file = join(folder.path, 'access.log');
    await writeFile(file, `${routed({ decided_revision: '6' })}\n${'x'.repeat(1_100_000)}\n${routed()}`);
    const { code, out } = await runCli(['logs', 'verify', file, '--json', '--limit', '1']);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      lines: 3,
      offendingLines: 2,
      mistakes: { revision_older: 1, too_long: 1 },
      offending: [{ number: 1, mistakes: ['revision_older'] }],
    });
  });

  it('says which file cannot be read', async () => {
    await using folder = await tempFolder();
    const { code, err } = await runCli(['logs', 'verify', join(folder.path, 'none.log')]);
    expect(code).toBe(2);
    expect(err).toContain('none.log cannot be read');
  });
});

describe('logs find', () => {
  async function withLogs() {
    const folder = await tempFolder();
    await mkdir(join(folder.path, 'logs'));
    const put = (name: string, lines: readonly string[]) =>
      writeFile(join(folder.path, 'logs', name), `${lines.join('\n')}\n`);
    await put('access.log.1', [routed({ request_id: 'req-0', decision_id: 'dec_0' })]);
    await put('access.log', ['half a li', routed(), DENIED]);
    await put('authz.log', ['{"msg":"listens"}', DENIAL]);
    return folder;
  }

  it.each(['req-1', 'dec_1'])('finds the one request of %s', async (id) => {
    await using folder = await withLogs();
    const { code, out } = await runCli(['logs', 'find', id, '--json'], { dataFolders: [folder.path] });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      id,
      access: [{ file: join(folder.path, 'logs', 'access.log'), line: 2, entry: JSON.parse(routed()) }],
      authz: [],
      more: false,
    });
  });

  it.each(['corr-1', TRACE, `00-${TRACE}-b7ad6b7169203331-01`])(
    'finds all requests of %s, the log put aside before first',
    async (id) => {
      await using folder = await withLogs();
      const options = { dataFolders: [join(folder.path, 'none'), folder.path] };
      const { out } = await runCli(['logs', 'find', id, '--json'], options);
      expect(JSON.parse(out).access.map((each: { entry: { request_id: string } }) => each.entry.request_id)).toEqual([
        'req-0',
        'req-1',
      ]);
      const one = await runCli(['logs', 'find', id, '--limit', '1'], options);
      expect(one.out).toContain('there are more: raise --limit');
    },
  );

  it('leads from a request to why it was denied, for people to read', async () => {
    await using folder = await withLogs();
    const { code, out } = await runCli(['logs', 'find', 'req-2'], { dataFolders: [folder.path] });
    expect(code).toBe(0);
    expect(out).toContain(`request ${join(folder.path, 'logs', 'access.log')}:3`);
    expect(out).toContain(`authz ${join(folder.path, 'logs', 'authz.log')}:2`);
    expect(out).toMatch(/reason +tenant_forbidden/);
    expect(out).toMatch(/endpoint +query/);
  });

  it('finds a text only where it is an id', async () => {
    await using folder = await withLogs();
    const { code, out } = await runCli(['logs', 'find', 'tenant_forbidden'], { dataFolders: [folder.path] });
    expect(code).toBe(1);
    expect(out).toContain('nothing found in ');
  });

  it('reads another access log, and says when there is none', async () => {
    await using folder = await withLogs();
    const file = join(folder.path, 'logs', 'access.log.1');
    expect((await runCli(['logs', 'find', 'req-0', file])).code).toBe(0);
    const none = await runCli(['logs', 'find', 'req-0'], { dataFolders: [join(folder.path, 'none')] });
    expect(none.code).toBe(2);
    expect(none.err).toContain('set GATEWAY_DATA or name a FILE');
  });
});
