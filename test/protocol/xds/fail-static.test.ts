import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBucket } from '#adapters/nats/bucket.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { makeAuthority, makeServerCertificate } from '../../../src/launcher/data/make-certificates.ts';
import { freePort } from '../../support/free-port.ts';
import { type NatsServer, silentLog, startNats } from '../../support/nats.ts';
import { draftOf, routingDocument } from '../../support/routing.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/wait.ts';
import { AdsClient } from './rig/ads-client.ts';

/** The real program against a real nats-server that dies: what a client of ADS is told before, meanwhile, after. */
const MAIN = fileURLToPath(new URL('../../../xds/main.ts', import.meta.url));
const stack = new AsyncDisposableStack();
let nats: NatsServer;
let env: Readonly<Record<string, string>>;
let stateFile: string;
let grpc: string;
let http: string;
let program: ChildProcess;
let output = '';

beforeAll(async () => {
  const folder = stack.use(await tempFolder()).path;
  nats = stack.use(await startNats());
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const certificate = await makeServerCertificate(await makeAuthority(validity), validity);
  await writeFile(join(folder, 'server.pem'), certificate.certificate);
  await writeFile(join(folder, 'server.key'), certificate.key);
  grpc = `127.0.0.1:${await freePort()}`;
  const httpListen = `127.0.0.1:${await freePort()}`;
  http = `http://${httpListen}`;
  stateFile = join(folder, 'state', 'last-known-good');
  env = {
    GATEWAY_NATS_URL: nats.url,
    GATEWAY_REPLICA: 'xds-test',
    GATEWAY_XDS_GRPC_LISTEN: grpc,
    GATEWAY_XDS_HTTP_LISTEN: httpListen,
    GATEWAY_TLS_CERT_FILE: join(folder, 'server.pem'),
    GATEWAY_TLS_KEY_FILE: join(folder, 'server.key'),
    GATEWAY_XDS_STATE_DIR: join(folder, 'state'),
  };
  stack.defer(kill);
  await publish(['s1', 's2']);
}, 60_000);
afterAll(() => stack.disposeAsync());

const start = async (): Promise<void> => {
  output = '';
  program = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  program.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await until(async () => (await fetch(`${http}/health`)).ok, { deadlineMs: 20_000, what: 'xds to run' });
};

async function kill(): Promise<void> {
  if (program === undefined || program.exitCode !== null || program.signalCode !== null) return;
  const ended = once(program, 'exit');
  program.kill('SIGKILL');
  await ended;
}

/** Publishes a routing with these shards as the next revision. */
async function publish(shards: readonly string[]): Promise<number> {
  await using link = await nats.connect('publisher');
  await ensureBucket(link, { bucket: 'ROUTING', replicas: 1 });
  const store = new RevisionStore({ store: new NatsKeyValueStore(link, 'ROUTING', silentLog), log: silentLog });
  const parent = await store.head();
  return (await store.publish(draftOf(routingDocument({ acme: 's1' }, shards), parent), parent)).revision;
}

interface Condition {
  readonly name: string;
  readonly ok: boolean;
  readonly detail?: string;
}

async function ready(): Promise<{ readonly status: number; readonly conditions: Readonly<Record<string, Condition>> }> {
  const response = await fetch(`${http}/ready`);
  const body = (await response.json()) as { readonly conditions: readonly Condition[] };
  return { status: response.status, conditions: Object.fromEntries(body.conditions.map((each) => [each.name, each])) };
}

const metric = async (name: string): Promise<number | undefined> => {
  const line = (await (await fetch(`${http}/metrics`)).text()).split('\n').find((each) => each.startsWith(name));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
};

/** Everything an Envoy that starts now is given, acknowledged: `type name` to version and bytes in hexadecimal. */
async function everything(): Promise<ReadonlyMap<string, string>> {
  using client = new AdsClient(grpc);
  const all = new Map<string, string>();
  for (const type of ['cluster', 'listener', 'endpoint', 'secret', 'route'] as const) {
    const clusters = [...all.keys()].flatMap((key) => (key.startsWith('cluster ') ? [key.slice(8)] : []));
    const names = { cluster: [], listener: [], endpoint: clusters, secret: ['edge'], route: ['gateway'] }[type];
    client.ask(type, names.length === 0 ? {} : { resource_names_subscribe: names });
    const response = await client.next();
    client.ack(response);
    for (const { name, version, content } of response.resources) {
      all.set(`${type} ${name}`, `${version} ${Buffer.from(content).toString('hex')}`);
    }
  }
  // A round trip, so that the last acknowledgement has arrived.
  expect(await client.isQuiet()).toBe(true);
  return all;
}

const untilKept = (revision: number) =>
  until(async () => (await readFile(stateFile, 'utf8')).includes(`"revision":${revision},`), {
    deadlineMs: 10_000,
    what: `revision ${revision} to be kept`,
  });

describe('the xDS server without NATS', () => {
  it('keeps what a client acknowledged, and serves byte-equal resources from it after a kill -9', async () => {
    await start();
    await until(async () => (await ready()).status === 200, { deadlineMs: 10_000, what: 'the routing to be loaded' });
    expect((await ready()).conditions).toMatchObject({
      source: { ok: true, detail: 'storage, revision 1' },
      storage: { ok: true },
    });
    const before = await everything();
    expect([...before.keys()].filter((key) => key.startsWith('cluster '))).toHaveLength(6);
    expect(before.get('route gateway')).toMatch(/^1-[0-9a-f]{16} /);
    await untilKept(1);

    await nats.kill();
    await kill();
    await start();
    expect((await ready()).status).toBe(200);
    expect((await ready()).conditions).toMatchObject({
      routing_revision: { ok: true, detail: 'revision 1' },
      source: { ok: false, detail: 'disk, revision 1' },
      storage: { ok: false, detail: 'not connected' },
      last_known_good: { ok: true, detail: 'revision 1' },
    });
    expect(await metric('gateway_xds_source{source="disk"')).toBe(1);
    expect(await metric('gateway_xds_storage_connected')).toBe(0);
    expect(await everything()).toEqual(before);
  });

  it('catches up when NATS is back, without a restart, on the streams that are open', async () => {
    using client = new AdsClient(grpc);
    client.ask('cluster');
    client.ack(await client.next());
    await nats.restart();
    const revision = await publish(['s1', 's2', 's3']);
    const added = await client.next();
    expect(added.resources.map(({ name }) => name)).toEqual(['aggregate/s3', 'projection/s3', 'runner/s3']);
    await until(async () => (await ready()).conditions['source']?.detail === `storage, revision ${revision}`, {
      deadlineMs: 10_000,
      what: 'the storage to be the source',
    });
    expect(await metric('gateway_xds_source{source="disk"')).toBe(0);
    await until(async () => (await everything()).get('route gateway')?.startsWith(`${revision}-`), {
      deadlineMs: 10_000,
      what: 'the new stamp',
    });
    await untilKept(revision);
  });

  it('starts from the disk in front of a NATS that accepts connections and says nothing', async () => {
    await kill();
    const frozen = await freezeNats();
    try {
      await start();
      expect((await ready()).conditions['source']?.detail).toBe('disk, revision 2');
      expect((await everything()).get('route gateway')).toMatch(/^2-/);
    } finally {
      frozen.thaw();
    }
    await until(async () => (await ready()).conditions['source']?.detail === 'storage, revision 2', {
      deadlineMs: 20_000,
      what: 'the storage to be the source',
    });
  });

  it('ends within its time though NATS never answered', async () => {
    await kill();
    await nats.kill();
    await start();
    const ended = once(program, 'exit');
    program.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });

  it('never serves a damaged file, and says so; when NATS is back it serves, and keeps a good one', async () => {
    const good = await readFile(stateFile);
    const damaged = Buffer.from(good);
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 20) ^ 1, damaged.length - 20);
    await writeFile(stateFile, damaged);
    await start();
    const { status, conditions } = await ready();
    expect(status).toBe(503);
    expect(conditions).toMatchObject({
      routing_revision: { ok: false },
      last_known_good: { ok: false, detail: expect.stringContaining('does not have its checksum') },
    });
    expect(output).toContain('the last known good routing is refused');
    using client = new AdsClient(grpc);
    client.ask('cluster');
    await until(() => client.ended?.code === 14, { deadlineMs: 5_000, what: 'the stream to be refused' });
    await nats.restart();
    await until(async () => (await ready()).status === 200, { deadlineMs: 20_000, what: 'the routing of NATS' });
    await everything();
    await untilKept(2);
    expect(await readFile(stateFile)).toEqual(good);
    expect((await ready()).conditions['last_known_good']).toMatchObject({ ok: true, detail: 'revision 2' });
  });

  it('does not use a stream whose settings are too weak, says why, and serves from the disk until that is mended', async () => {
    await kill();
    await using link = await nats.connect('operator');
    const config = { name: 'KV_ROUTING', subjects: ['$KV.ROUTING.>'], storage: 'file' };
    await link.nc.request('$JS.API.STREAM.DELETE.KV_ROUTING');
    await link.nc.request('$JS.API.STREAM.CREATE.KV_ROUTING', JSON.stringify(config));
    await start();
    await until(async () => (await ready()).conditions['routing_head']?.detail?.includes('is required'), {
      deadlineMs: 10_000,
      what: 'the weak setting to be named',
    });
    expect((await ready()).conditions['source']?.detail).toBe('disk, revision 2');
    expect((await everything()).get('route gateway')).toMatch(/^2-/);
    await link.nc.request('$JS.API.STREAM.DELETE.KV_ROUTING');
    // The storage begins anew, so its numbers do too: what is served stays until they are above it.
    for (const shards of [['s1'], ['s1', 's3'], ['s1', 's4']]) {
      await until(() => publish(shards), { deadlineMs: 10_000, what: 'a revision to be published' });
    }
    await until(async () => (await ready()).conditions['source']?.detail === 'storage, revision 3', {
      deadlineMs: 20_000,
      what: 'the first newer revision to be served',
    });
    expect((await ready()).conditions['routing_head']).toEqual({ name: 'routing_head', ok: true });
  });
});

/** SIGSTOP: connections are accepted by the kernel, and nobody speaks. */
async function freezeNats(): Promise<{ thaw(): void }> {
  const pid = nats.pid();
  process.kill(pid, 'SIGSTOP');
  return { thaw: () => process.kill(pid, 'SIGCONT') };
}
