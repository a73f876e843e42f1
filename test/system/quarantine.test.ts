import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectNats } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { ask, assign, gatewayctl, PASSWORD, type Person } from '../support/edge-client.ts';
import { startGatewayWithMember } from '../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../support/launcher.ts';
import { silentLog } from '../support/nats.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { toolPath } from '../support/tools.ts';
import { until } from '../support/wait.ts';

/**
 * One bad shard entry among 1,000 of each kind, with all real parts. The parser takes nothing that a complete Envoy 1.40
 * is known to refuse, so this Envoy lacks an extension, as builds for a purpose do: it resolves no names.
 */
const SHARDS_COUNT = 1_000;
const MISSING_EXTENSION = 'envoy.clusters/envoy.cluster.strict_dns';
const DEADLINE_MS = 30_000;
/** What the product promises for a corrected entry. */
const LIVE_MS = 1_000;

type Members = Readonly<Record<string, unknown>>;

const stack = new AsyncDisposableStack();
let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;
let demonstration: Record<string, Members>;

beforeAll(async () => {
  const folder = stack.use(await tempFolder());
  const envoy = join(folder.path, 'envoy');
  await writeFile(envoy, `#!/bin/sh\nexec '${toolPath('envoy')}' "$@" --disable-extensions ${MISSING_EXTENSION}\n`);
  await chmod(envoy, 0o755);
  ({ gateway, http, admin, member } = stack.use(await startGatewayWithMember({ env: { GATEWAY_ENVOY: envoy } })));
  await assign(http, admin, member, 'globex', 'tenant-member');
  const login = await gatewayctl(gateway, ['login', '--email', admin.email, '--password-stdin'], {
    input: `${PASSWORD}\n`,
  });
  expect(login.exitCode).toBe(0);
  demonstration = (await asAdmin('/admin/routing?include=document')).body['document'] as Record<string, Members>;
});
afterAll(() => stack.disposeAsync());

const asAdmin = (path: string, body?: unknown) =>
  ask(http, path, { token: admin.token, ...(body === undefined ? {} : { body }) });
const query = (tenant: string) => ask(http, '/v1/query/orders', { token: member.token, tenant, body: {} });
const served = async (tenant: string) => (await query(tenant)).headers.get('x-served-by');

/** The demonstration with 1,000 more shards of each kind, and changes to the projection shards. */
function documentOf(port: number, projection: Members, placement: Members = {}): Members {
  const more = Object.fromEntries(
    Array.from({ length: SHARDS_COUNT }, (_, index) => [`m${index}`, { endpoints: [{ address: '127.0.0.1', port }] }]),
  );
  const shards = (kind: string) => ({ ...demonstration[`${kind}_shards`], ...more });
  return {
    ...demonstration,
    projection_placement: { ...demonstration['projection_placement'], ...placement },
    aggregate_shards: shards('aggregate'),
    projection_shards: { ...shards('projection'), ...projection },
    runner_shards: shards('runner'),
  };
}

/** A shard at the node of another one, which runs, but by a name. */
const named = (shard: string): Members => {
  const given = demonstration['projection_shards']?.[shard] as { endpoints: readonly { port: number }[] } | undefined;
  return { endpoints: (given?.endpoints ?? []).map(({ port }) => ({ address: 'localhost', port })) };
};

async function push(document: Members): Promise<number> {
  const answer = await asAdmin('/admin/routing/revisions', document);
  expect([answer.status, answer.text.slice(0, 500)]).toEqual([200, expect.any(String)]);
  return Number(answer.body['revision']);
}

const untilAcked = (revision: number, deadlineMs = DEADLINE_MS) =>
  until(
    async () => {
      const { envoys } = (await asAdmin('/admin/routing/status')).body as { envoys: readonly { acked: number }[] };
      return envoys.length > 0 && envoys.every(({ acked }) => acked >= revision);
    },
    { deadlineMs, what: `revision ${revision} at the Envoy` },
  );

const quarantined = async () => (await asAdmin('/admin/routing/status')).body['quarantined'] as readonly Members[];
const untilQuarantined = (count: number, deadlineMs = DEADLINE_MS) =>
  until(async () => (await quarantined()).length === count, { deadlineMs, what: `${count} shards kept back` });

it('a bad new shard: all else is served at the new revision, its tenant alone gets 503, the culprit is named', async () => {
  const revision = await push(documentOf(1, { bad: named('s2') }, { globex: 'bad', acme: 's2' }));
  await untilAcked(revision);
  await until(async () => (await served('acme')) === 'projection/s2', {
    deadlineMs: DEADLINE_MS,
    what: 'the move of acme',
  });
  await untilQuarantined(1);
  expect(await quarantined()).toMatchObject([
    {
      ...{ kind: 'projection', shard: 'bad', since_revision: revision, serving: 'nothing' },
      pointer: '/projection_shards/bad',
      error: expect.stringContaining("registered cluster factory implementation for name: 'envoy.cluster.strict_dns'"),
    },
  ]);
  const refused = await query('globex');
  expect([refused.status, refused.body['code']]).toEqual([503, 'routing_unavailable']);
});

it('is said where operators look: gatewayctl, the store, the metrics', async () => {
  const status = await gatewayctl(gateway, ['routing', 'status']);
  expect(status.exitCode).toBe(1);
  expect(status.stdout).toContain('/projection_shards/bad');
  const { nats, xds } = await gateway.run();
  await using link = await connectNats({ url: nats, name: 'test', log: silentLog });
  const store = new NatsKeyValueStore(link, 'ROUTING', silentLog);
  const record = await until(() => store.get('status.quarantine'), { deadlineMs: DEADLINE_MS, what: 'the record' });
  expect(JSON.parse(Buffer.from(record.value).toString('utf8'))).toMatchObject({
    count: 1,
    quarantined: [{ kind: 'projection', shard: 'bad', pointer: '/projection_shards/bad' }],
  });
  const metrics = await (
    await fetch(`http://${new URL(`http://${xds.http.replace(/^http:\/\//, '')}`).host}/metrics`)
  ).text();
  expect(metrics).toMatch(/gateway_xds_quarantined\{[^}]*\} 1/);
});

it('is live within a second of the correction', async () => {
  const document = documentOf(1, { bad: demonstration['projection_shards']?.['s2'] }, { globex: 'bad', acme: 's2' });
  const pushed = push(document);
  const isPublished = () => pushed.then(() => true);
  await until(isPublished, { deadlineMs: DEADLINE_MS, what: 'the push' });
  await until(async () => (await query('globex')).status === 200, { deadlineMs: LIVE_MS, what: 'the corrected shard' });
  await untilQuarantined(0, LIVE_MS);
});

it('a changed shard that is bad serves on with its last good settings, and others get the revision', async () => {
  const placement = { globex: 's1', acme: 's2' };
  await untilAcked(await push(documentOf(1, {}, placement)));
  const revision = await push(documentOf(2, { s1: named('s1') }, placement));
  await untilAcked(revision);
  await untilQuarantined(1);
  expect(await quarantined()).toMatchObject([{ shard: 's1', since_revision: revision, serving: 'last_good' }]);
  for (let turn = 0; turn < 20; turn += 1) {
    expect(await Promise.all([served('globex'), served('acme')])).toEqual(['projection/s1', 'projection/s2']);
  }
  await push(documentOf(2, {}, placement));
  await untilQuarantined(0, LIVE_MS);
  expect((await gatewayctl(gateway, ['routing', 'status'])).exitCode).toBe(0);
});
