import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectNats } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { ask, type EdgeRequest, gatewayctl, move, PASSWORD, type Person } from '../support/edge-client.ts';
import { startGatewayWithMember } from '../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../support/launcher.ts';
import { silentLog } from '../support/nats.ts';
import { until } from '../support/wait.ts';

/** What operators see and do with routing, with all real parts: each test goes on from where the one before ended. */
let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;

beforeAll(async () => {
  ({ gateway, http, admin, member } = await startGatewayWithMember());
  const login = await gatewayctl(gateway, ['login', '--email', admin.email, '--password-stdin'], {
    input: `${PASSWORD}\n`,
  });
  expect(login).toMatchObject({ exitCode: 0 });
});
afterAll(() => gateway[Symbol.asyncDispose]());

const asAdmin = (path: string, request: EdgeRequest = {}) => ask(http, path, { token: admin.token, ...request });
const push = (body: unknown, request: EdgeRequest = {}) => asAdmin('/admin/routing/revisions', { body, ...request });
const current = async () => (await asAdmin('/admin/routing')).body['revision'] as number;
const query = () => ask(http, '/v1/query/orders', { token: member.token, tenant: 'acme', body: {} });
const document = async () =>
  (await asAdmin('/admin/routing?include=document')).body['document'] as Record<string, Record<string, unknown>>;
const ctl = (...args: readonly string[]) => gatewayctl(gateway, args);

/** Where acme's queries are served, and by which epoch. */
async function served() {
  const answer = await query();
  expect(answer.status).toBe(200);
  const headers = answer.body['headers'] as Record<string, string>;
  return { shard: answer.headers.get('x-served-by'), epoch: Number(headers['x-placement-epoch']) };
}

describe('differences and dry runs', () => {
  it('a dry run says what a move would change, and changes nothing', async () => {
    const before = await current();
    const tried = await ctl('routing', 'move', 'acme', '--projection', 's2', '--dry-run');
    expect(tried).toMatchObject({ exitCode: 0 });
    expect(tried.stdout).toContain(`on top of revision ${before}`);
    expect(tried.stdout).toMatch(/^acme +projection +s1 +s2$/m);
    const body = { changes: [{ tenant: 'acme', projection: 's2' }] };
    const answer = await asAdmin('/admin/routing/revisions?dry_run=true', { body });
    expect(answer.body).toMatchObject({ dry_run: true, revision: before, from: before, to: before + 1, changed: true });
    expect(await current()).toBe(before);
    expect((await served()).shard).toBe('projection/s1');
  });

  it('a move is the difference of its revision from its parent', async () => {
    const before = await current();
    const moved = await ctl('routing', 'move', 'acme', '--projection', 's2', '--note', 'slow disk', '--json');
    const { revision } = JSON.parse(moved.stdout);
    expect(revision).toBe(before + 1);
    const shown = await ctl('routing', 'diff', String(revision));
    expect(shown.stdout).toMatch(/^acme +projection +s1 +s2$/m);
    expect(shown.stdout).toContain('0 shards, 1 placements of 1 tenants');
    const { body } = await asAdmin(`/admin/routing/revisions/${revision}/diff?from=${before}`);
    expect(body['items']).toEqual([{ tenant: 'acme', kind: 'projection', before: 's1', after: 's2' }]);
    expect((await served()).shard).toBe('projection/s2');
  });

  it('explain says which revision placed the tenant, who made it and why', async () => {
    const { stdout } = await ctl('routing', 'explain', 'acme');
    expect(stdout).toMatch(
      new RegExp(`^projection +s2 +${await current()} +\\S+ +${admin.userId} +slow disk +127`, 'm'),
    );
    const json = JSON.parse((await ctl('routing', 'explain', 'acme', '--json')).stdout);
    expect(json).toMatchObject({ projection: { shard: 's2' }, placed_by: { projection: { note: 'slow disk' } } });
  });

  it('a dry run of a mistaken document names every mistake', async () => {
    const file = join(gateway.dataFolder, 'mistaken.json');
    await writeFile(file, JSON.stringify({ aggregate_placement: { acme: 'x', BAD: 's1' } }));
    const tried = await ctl('routing', 'push', file, '--dry-run');
    expect(tried.exitCode).toBe(1);
    for (const pointer of ['/aggregate_placement/acme', '/aggregate_placement/BAD']) {
      expect(tried.stderr).toContain(pointer);
    }
  });
});

describe('conflicts', () => {
  it('a push on top of an older revision than the current one is 412', async () => {
    const now = await current();
    const late = await push(await document(), { headers: { 'if-match': `"${now - 1}"` } });
    expect([late.status, late.body['code'], late.body['current_revision']]).toEqual([412, 'precondition_failed', now]);
    expect(await current()).toBe(now);
  });

  it('of documents pushed at once one wins, the others are told by which revision they lost', async () => {
    const base = await document();
    let losers: readonly Record<string, unknown>[] = [];
    await until(
      async () => {
        const before = await current();
        const placed = (index: number) => ({ ...base['runner_placement'], [`racer-${before}-${index}`]: 's1' });
        const answers = await Promise.all(
          Array.from({ length: 6 }, (_, index) => push({ ...base, runner_placement: placed(index) })),
        );
        const winners = answers.filter((answer) => answer.status === 200).map((answer) => answer.body['revision']);
        losers = answers.filter((answer) => answer.status !== 200).map((answer) => answer.body);
        // Every revision there is now was somebody's success: nobody's content was overwritten unknowingly.
        expect(new Set(winners).size).toBe(winners.length);
        expect(await current()).toBe(before + winners.length);
        for (const loser of losers) {
          expect(loser).toMatchObject({ status: 409, code: 'conflict' });
          expect(winners).toContain(loser['current_revision']);
        }
        return losers.length > 0;
      },
      { deadlineMs: 30_000, what: 'two documents to meet' },
    );
    expect(losers[0]?.['detail']).toContain(`by ${admin.userId}`);
    expect((await push(base)).status).toBe(200);
  });
});

describe('a swap', () => {
  it('is recorded: when the Envoy took it, and the requests it decided', async () => {
    const moved = await move(http, admin, { tenant: 'acme', projection: 's1' });
    const revision = moved.body['revision'];
    for (let count = 0; count < 3; count += 1) expect((await served()).shard).toBe('projection/s1');
    const { body } = await asAdmin(`/admin/routing/revisions/${String(revision)}/swap`);
    expect(body).toMatchObject({
      revision,
      by: admin.userId,
      complete: true,
      duration_ms: expect.any(Number),
      requests: 3,
      silent: [],
      envoys: [
        {
          live: true,
          serving: true,
          sent_at: expect.any(String),
          acked_at: expect.any(String),
          stamp: revision,
          rejected: [],
        },
      ],
      xds: [{ loaded_at: expect.any(String), stamped_at: expect.any(String) }],
      authz: [{ held_at: expect.any(String), requests: 3 }],
    });
    expect(Number(body['duration_ms'])).toBeLessThan(2_000);
    const times = ['published_at', 'completed_at', 'first_decided_at', 'last_decided_at'].map((name) =>
      Date.parse(String(body[name])),
    );
    expect(times).toEqual(times.toSorted((left, right) => left - right));
    const shown = await ctl('routing', 'swap', String(revision));
    expect(shown).toMatchObject({ exitCode: 0 });
    expect(shown.stdout).toMatch(/^complete +yes, after \d+ ms$/m);
    // One that no request was stamped with any more.
    await move(http, admin, { tenant: 'acme', projection: 's2' });
    await query();
    const after = await asAdmin(`/admin/routing/revisions/${String(revision)}/swap`);
    expect(after.body).toMatchObject({ complete: true, requests: 3, last_decided_at: body['last_decided_at'] });
  });

  it('status is 0 when the Envoy is current', async () => {
    const shown = await ctl('routing', 'status');
    expect(shown).toMatchObject({ exitCode: 0 });
    expect(shown.stdout).toMatch(/ +current$/m);
  });
});

describe('a rollback', () => {
  it('puts placements back under newer epochs, which the nodes accept', async () => {
    const before = await current();
    const { shard, epoch } = await served();
    expect(shard).toBe('projection/s2');
    const target = before - 1;
    const tried = await ctl('routing', 'rollback', String(target), '--dry-run');
    expect(tried.stdout).toMatch(/^acme +projection +s2 +s1$/m);
    const back = await ctl('routing', 'rollback', String(target), '--json');
    const { revision } = JSON.parse(back.stdout);
    expect(revision).toBe(before + 1);
    const now = await served();
    expect(now).toEqual({ shard: 'projection/s1', epoch: revision });
    expect(now.epoch).toBeGreaterThan(epoch);
    const { body } = await asAdmin(`/admin/routing/revisions/${revision}/diff?from=${target}`);
    expect(body['totals']).toEqual({ shards: 0, placements: 0, tenants: 0 });
    const listed = JSON.parse((await ctl('routing', 'list', '--limit', '2', '--json')).stdout);
    expect(listed.items).toMatchObject([
      { revision, parent: before, note: `rollback to revision ${target}`, by: admin.userId },
      { revision: before },
    ]);
    expect((await ctl('routing', 'list')).stdout).toContain(`rollback to revision ${target}`);
  });
});

describe('a table put into head by hand', () => {
  /** Puts it with a NATS client, as an operator would, and reads what became of it. */
  async function putByHand(value: string) {
    await using link = await connectNats({ url: (await gateway.run()).nats, name: 'by-hand', log: silentLog });
    const store = new NatsKeyValueStore(link, 'ROUTING', silentLog);
    const before = (await store.get('status.head'))?.revision ?? 0;
    await store.commit([{ key: 'head', value: Buffer.from(value) }]);
    const record = await until(
      async () => {
        const status = await store.get('status.head');
        return status !== undefined && status.revision > before && status;
      },
      { deadlineMs: 10_000, what: 'status.head to be written' },
    );
    return JSON.parse(Buffer.from(record.value).toString('utf8'));
  }

  it('is adopted as a proper revision when it is good', async () => {
    const before = await current();
    const table = await document();
    const projections = { ...table['projection_placement'], acme: 's2' };
    const note = 'by hand at night';
    const status = await putByHand(JSON.stringify({ table: { ...table, projection_placement: projections }, note }));
    expect(status).toMatchObject({ source: 'inline', state: 'published', revision: before + 1 });
    await until(async () => (await served()).shard === 'projection/s2', { deadlineMs: 5_000, what: 'the new routing' });
    expect((await served()).epoch).toBe(before + 1);
    const { body } = await asAdmin('/admin/routing');
    expect(body).toMatchObject({ revision: before + 1, parent: before, by: 'kv', note });
    const { body: diff } = await asAdmin(`/admin/routing/revisions/${before + 1}/diff`);
    expect(diff['items']).toEqual([{ tenant: 'acme', kind: 'projection', before: 's1', after: 's2' }]);
  });

  it('is refused with the reasons when it is mistaken, and the old routing stays', async () => {
    const before = await current();
    const table = { runner_placement: { acme: 'nowhere', 'Not A Tenant': 's1' } };
    const status = await putByHand(JSON.stringify({ table }));
    expect(status).toMatchObject({ source: 'inline', state: 'refused', revision: before });
    const pointers = status.errors.map(({ pointer }: { pointer: string }) => pointer);
    expect(pointers).toEqual(expect.arrayContaining(['/runner_placement/acme', '/runner_placement/Not A Tenant']));
    await until(async () => (await current()) === before, { deadlineMs: 5_000, what: 'the old head to be back' });
    const shown = await until(
      async () => {
        const { body } = await asAdmin('/admin/routing/status');
        const head = body['head'] as { readonly state?: string } | null;
        return head?.state === 'refused' && head;
      },
      { deadlineMs: 5_000, what: 'the refusal to show in the status' },
    );
    expect(shown).toEqual({ ...status, schema: undefined });
    expect(await ctl('routing', 'status')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining('/runner_placement/acme'),
    });
    expect((await served()).shard).toBe('projection/s2');
    expect((await move(http, admin, { tenant: 'acme', projection: 's1' })).body['revision']).toBe(before + 1);
    expect((await served()).shard).toBe('projection/s1');
  });
});

it('watch follows revisions and Envoys until it is interrupted', async () => {
  const before = await current();
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('../../bin/gatewayctl.mjs', import.meta.url)), 'routing', 'watch', '--json'],
    {
      env: { ...process.env, GATEWAY_DATA: gateway.dataFolder, XDG_CONFIG_HOME: `${gateway.dataFolder}/xdg` },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const ended = once(child, 'exit');
  const events = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const told = (wanted: Record<string, unknown>) =>
    until(() => events().some((event) => Object.entries(wanted).every(([name, value]) => event[name] === value)), {
      deadlineMs: 15_000,
      what: JSON.stringify(wanted),
    });
  try {
    await told({ event: 'revision', revision: before });
    await told({ event: 'envoy', acked: before, behind: false });
    await move(http, admin, { tenant: 'acme', projection: 's2' });
    await told({ event: 'revision', revision: before + 1, by: admin.userId });
    await told({ event: 'envoy', acked: before + 1, behind: false });
  } finally {
    child.kill('SIGINT');
  }
  expect(await ended).toEqual([0, null]);
});
