import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask, gatewayctl, PASSWORD, type Person } from '../../support/edge-client.ts';
import { startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../../support/launcher.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { toolPath } from '../../support/tools.ts';
import { until } from '../../support/wait.ts';

/**
 * Shards are shown to an Envoy before they are published, with all real parts. The parser takes nothing that a complete
 * Envoy 1.40 is known to refuse, so this Envoy lacks an extension; while a file is there it does not validate at all.
 */
const MISSING_EXTENSION = 'envoy.clusters/envoy.cluster.strict_dns';
const DEADLINE_MS = 30_000;

type Members = Readonly<Record<string, unknown>>;

const stack = new AsyncDisposableStack();
let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;
let demonstration: Readonly<Record<string, Members>>;
let folder: string;

beforeAll(async () => {
  folder = stack.use(await tempFolder()).path;
  const envoy = join(folder, 'envoy');
  await writeFile(
    envoy,
    `#!/bin/sh
case "$*" in *"--mode validate"*) if [ -e '${join(folder, 'broken')}' ]; then exit 3; fi ;; esac
exec '${toolPath('envoy')}' "$@" --disable-extensions ${MISSING_EXTENSION}
`,
  );
  await chmod(envoy, 0o755);
  const env = { GATEWAY_ENVOY: envoy, GATEWAY_ENVOY_VALIDATOR: 'on' };
  ({ gateway, http, admin, member } = stack.use(await startGatewayWithMember({ env })));
  const login = ['login', '--email', admin.email, '--password-stdin'];
  expect((await gatewayctl(gateway, login, { input: `${PASSWORD}\n` })).exitCode).toBe(0);
  demonstration = (await asAdmin('/admin/routing?include=document')).body['document'] as typeof demonstration;
  await until(async () => (await replicas()).some(({ validator }) => validator === true), {
    deadlineMs: DEADLINE_MS,
    what: 'the validator to be announced',
  });
});
afterAll(() => stack.disposeAsync());

const asAdmin = (path: string, body?: unknown) =>
  ask(http, path, { token: admin.token, ...(body === undefined ? {} : { body }) });
const push = (document: Members, query = '') => asAdmin(`/admin/routing/revisions${query}`, document);
const served = async () =>
  (await ask(http, '/v1/query/orders', { token: member.token, tenant: 'acme', body: {} })).headers.get('x-served-by');
const status = async () => (await asAdmin('/admin/routing/status')).body;
const replicas = async () => (await status())['replicas'] as readonly Members[];
const revisionNow = async () => (await asAdmin('/admin/routing')).body['revision'];

/** The demonstration with more projection shards. */
const documentWith = (shards: Members): Members => ({
  ...demonstration,
  projection_shards: { ...demonstration['projection_shards'], ...shards },
});
const shardAt = (address: string): Members => ({ endpoints: [{ address, port: 9_999 }] });
const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`m${index}`, shardAt('127.0.0.1')]));

it('what Envoy refuses is not published: the answer points to the shard, and routing goes on', async () => {
  const before = await revisionNow();
  const answer = await push(documentWith({ ...many, bad: shardAt('localhost') }));
  expect([answer.status, answer.body['code']]).toEqual([400, 'validation_failed']);
  expect(answer.body['errors']).toEqual([
    {
      pointer: '/projection_shards/bad',
      code: 'refused_by_envoy',
      detail: expect.stringContaining("registered cluster factory implementation for name: 'envoy.cluster.strict_dns'"),
    },
  ]);
  const tried = await push(documentWith({ bad: shardAt('localhost') }), '?dry_run=true');
  expect([tried.status, tried.body['code']]).toEqual([400, 'validation_failed']);
  expect(await revisionNow()).toBe(before);
  expect((await status())['quarantined']).toEqual([]);
  expect(await served()).toMatch(/^projection\//);
});

it('what it takes is published, and said to be valid; a move is not held up by it', async () => {
  const answer = await push(documentWith({ good: shardAt('127.0.0.1') }));
  expect([answer.status, answer.body]).toEqual([200, expect.objectContaining({ changed: true, validation: 'valid' })]);
  const moved = await asAdmin('/admin/routing/revisions', { changes: [{ tenant: 'acme', projection: 's2' }] });
  expect(moved.body).toMatchObject({ changed: true });
  expect(moved.body).not.toHaveProperty('validation');
  await until(async () => (await served()) === 'projection/s2', { deadlineMs: DEADLINE_MS, what: 'the move' });
});

it('a validator that does not work stops nobody, and quarantine protects', async () => {
  const broken = join(folder, 'broken');
  await writeFile(broken, '');
  // Not the shard from above: that one it knows.
  const file = join(folder, 'routing.json');
  await writeFile(file, JSON.stringify(documentWith({ unseen: shardAt('localhost') })));
  const pushed = await gatewayctl(gateway, ['routing', 'push', file]);
  expect([pushed.exitCode, pushed.stderr, pushed.stdout]).toEqual([
    0,
    '',
    expect.stringMatching(/note: .*exit code 3/),
  ]);
  await until(async () => ((await status())['quarantined'] as readonly unknown[]).length === 1, {
    deadlineMs: DEADLINE_MS,
    what: 'the quarantine',
  });
  await rm(broken);
  const corrected = await push(documentWith({}));
  expect([corrected.status, corrected.body['validation']]).toEqual([200, undefined]);
  expect(await served()).toMatch(/^projection\//);
});
