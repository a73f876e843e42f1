import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeToJson } from '#platform/proto-registry.ts';
import { type AdsServer, startAdsServer } from '../../../xds/ads/server.ts';
import type { ControlPlane } from '../../../xds/control-plane.ts';
import { silentLog } from '../../support/nats.ts';
import { routingDocument, snapshotOf } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';
import type { ReadResponse } from '../../unit/xds/simulation/read-response.ts';
import { AdsClient } from './rig/ads-client.ts';
import { newControlPlane } from './rig/edge.ts';
import { registry } from './rig/stub-authz.ts';

/** The ADS server over real gRPC, with a client that says what no well-behaved one would. */
let stack: AsyncDisposableStack;
let plane: ControlPlane;
let server: AdsServer;
let events: readonly { readonly node: string | undefined; readonly kind: string; readonly error?: string }[];

const edge = { port: 1, tlsPort: 2, accessLogPath: '/dev/null' };
const start = async () => {
  const made = newControlPlane(edge);
  const ads = stack.use(
    await startAdsServer({ listen: { host: '127.0.0.1', port: 0 }, host: made.controlPlane, log: silentLog }),
  );
  return { ...made, ads };
};
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  ({ controlPlane: plane, ads: server, events } = await start());
});
afterEach(() => stack.disposeAsync());

const connect = (address = server.address) => stack.use(new AdsClient(address));
const names = ({ resources }: ReadResponse) => resources.map(({ name }) => name);
const first = snapshotOf(routingDocument({ acme: 's1' }));
const CLUSTERS = ['aggregate', 'projection', 'runner'].flatMap((kind) => [`${kind}/s1`, `${kind}/s2`]);

/** Takes and acknowledges what Envoy would, up to the first route configuration. */
async function warmUp(
  client: AdsClient,
): Promise<{ readonly routes: ReadResponse; readonly all: readonly ReadResponse[] }> {
  client.ask('cluster');
  const clusters = await client.next();
  client.ack(clusters);
  client.ask('endpoint', { resource_names_subscribe: names(clusters) });
  const endpoints = await client.next();
  client.ask('route', { resource_names_subscribe: ['gateway'] });
  expect(client.responses).toHaveLength(2);
  client.ack(endpoints);
  const routes = await client.next();
  client.ack(routes);
  return { routes, all: [clusters, endpoints, routes] };
}

describe('a stream', () => {
  it('is refused as unavailable before the first revision is loaded', async () => {
    const client = connect();
    client.ask('cluster');
    await until(() => client.ended, { deadlineMs: 5_000, what: 'the end of the stream' });
    expect(client.ended).toMatchObject({ code: 14 });
    expect(client.responses).toEqual([]);
  });

  it('is refused without a node', async () => {
    plane.applyRevision(first);
    const client = connect();
    client.ask('cluster', { node: {} });
    await until(() => client.ended, { deadlineMs: 5_000, what: 'the end of the stream' });
    expect(client.ended).toMatchObject({ code: 14 });
  });

  it('carries what Envoy can read: real clusters, endpoints, routes, in this order', async () => {
    plane.applyRevision(first);
    const client = connect();
    const { all } = await warmUp(client);
    expect(all.map(({ typeUrl }) => typeUrl.split('.').at(-1))).toEqual([
      'Cluster',
      'ClusterLoadAssignment',
      'RouteConfiguration',
    ]);
    expect(names(all[0] ?? all[1] ?? never()).toSorted()).toEqual(CLUSTERS);
    const [cluster] = all[0]?.resources ?? [];
    expect(
      decodeToJson(registry, 'envoy.config.cluster.v3.Cluster', cluster?.content ?? new Uint8Array()),
    ).toMatchObject({
      name: cluster?.name,
      type: 'EDS',
    });
    expect(all[2]?.resources[0]?.version).toMatch(/^1-[0-9a-f]{16}$/);
    expect(await client.isQuiet()).toBe(true);
    expect(plane.envoys()).toMatchObject([{ node: 'test-client', stamp: 1, acked: 1, rejected: [] }]);
  });

  it('has nonces that never come twice, and says nothing after an acknowledgement', async () => {
    plane.applyRevision(first);
    const client = connect();
    const { all } = await warmUp(client);
    expect(new Set(all.map(({ nonce }) => nonce)).size).toBe(all.length);
    for (const response of all) client.ack(response);
    expect(await client.isQuiet()).toBe(true);
  });

  it('ignores types that are not served', async () => {
    plane.applyRevision(first);
    const client = connect();
    client.ask('cluster', { type_url: 'type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration' });
    expect(await client.isQuiet()).toBe(true);
    expect(events).toContainEqual(expect.objectContaining({ kind: 'unknown_type' }));
  });

  it('ends with the server, as unavailable', async () => {
    plane.applyRevision(first);
    const client = connect();
    await warmUp(client);
    await server[Symbol.asyncDispose]();
    await until(() => client.ended, { deadlineMs: 5_000, what: 'the end of the stream' });
    expect(client.ended).toMatchObject({ code: 14 });
  });
});

describe('subscriptions', () => {
  it('wildcard and a name, then without either', async () => {
    plane.applyRevision(first);
    const client = connect();
    client.ask('listener', { resource_names_subscribe: ['*', 'edge-tls'] });
    expect(names(await client.next())).toEqual(['edge-plain', 'edge-tls']);
    client.ask('listener', { resource_names_unsubscribe: ['*'] });
    expect(await client.isQuiet()).toBe(true);
    client.ask('listener', { resource_names_subscribe: ['*'] });
    expect(names(await client.next())).toEqual(['edge-plain']);
    client.ask('listener', { resource_names_unsubscribe: ['edge-tls'] });
    expect(names(await client.next())).toEqual(['edge-tls']);
  });

  it.each(['endpoint', 'route', 'secret'] as const)('of %s: naming nothing first asks for nothing', async (type) => {
    plane.applyRevision(first);
    const client = connect();
    client.ask('cluster', {});
    client.ask(type, {});
    expect(names(await client.next())).toEqual(CLUSTERS);
    expect(await client.isQuiet()).toBe(true);
  });

  it('a name first means that name alone', async () => {
    plane.applyRevision(first);
    const client = connect();
    client.ask('cluster', { resource_names_subscribe: ['aggregate/s1', 'aggregate/none'] });
    const response = await client.next();
    const removal = response.removed.length > 0 ? response : await client.next();
    expect([names(response), removal.removed]).toEqual([['aggregate/s1'], ['aggregate/none']]);
    client.ask('cluster', { resource_names_unsubscribe: ['aggregate/s1'] });
    expect(await client.isQuiet()).toBe(true);
  });

  it('again: the same resource is sent again', async () => {
    plane.applyRevision(first);
    const client = connect();
    client.ask('endpoint', { resource_names_subscribe: ['aggregate/s1'] });
    const response = await client.next();
    client.ask('endpoint', { response_nonce: response.nonce, resource_names_subscribe: ['aggregate/s1'] });
    expect((await client.next()).resources[0]?.version).toBe(response.resources[0]?.version);
  });
});

describe('a rejection', () => {
  it('is recorded, the last good one comes once more, the bad one never, the next one does', async () => {
    plane.applyRevision(first);
    const client = connect();
    const { routes } = await warmUp(client);
    plane.applyRevision(snapshotOf(routingDocument({ acme: 's2' }), first));
    const bad = await client.next();
    client.nack(bad, 'no such thing');
    const again = await client.next();
    expect(again.resources[0]?.version).toBe(routes.resources[0]?.version);
    expect(again.nonce).not.toBe(routes.nonce);
    client.ack(again);
    expect(await client.isQuiet()).toBe(true);
    expect(plane.envoys()).toMatchObject([{ acked: 1, rejected: [{ names: ['gateway'], error: 'no such thing' }] }]);
    const second = snapshotOf(routingDocument({ acme: 's2' }), first);
    plane.applyRevision(snapshotOf(routingDocument({ acme: 's1' }), second));
    const next = await client.next();
    expect(next.resources[0]?.version).toMatch(/^3-/);
    client.ack(next);
    await until(() => plane.envoys()[0]?.rejected.length === 0, { deadlineMs: 5_000, what: 'the record to go' });
  });

  it('does not touch others', async () => {
    plane.applyRevision(first);
    const [one, other] = [connect(), connect()];
    await warmUp(one);
    await warmUp(other);
    plane.applyRevision(snapshotOf(routingDocument({ acme: 's2' }), first));
    one.nack(await one.next(), 'no');
    const response = await other.next();
    other.ack(response);
    expect(response.resources[0]?.version).toMatch(/^2-/);
    expect(await other.isQuiet()).toBe(true);
  });
});

describe('reconnecting', () => {
  const versions = (response: ReadResponse | undefined) =>
    Object.fromEntries((response?.resources ?? []).map(({ name, version }) => [name, version]));

  it('to another replica: versions mean the same there, so nothing is sent twice', async () => {
    plane.applyRevision(first);
    const { all } = await warmUp(connect());
    const other = await start();
    other.controlPlane.applyRevision(first);
    const client = connect(other.ads.address);
    client.ask('cluster', { initial_resource_versions: versions(all[0]) });
    client.ask('endpoint', { resource_names_subscribe: CLUSTERS, initial_resource_versions: versions(all[1]) });
    client.ask('route', { resource_names_subscribe: ['gateway'], initial_resource_versions: versions(all[2]) });
    const answer = await client.next();
    expect([names(answer), answer.removed]).toEqual([[], []]); // the wildcard is answered, with nothing
    expect(await client.isQuiet()).toBe(true);
    expect(other.controlPlane.envoys()).toMatchObject([{ stamp: 1, acked: 1 }]);
  });

  it('to a replica that is behind is refused before it says anything', async () => {
    const second = snapshotOf(routingDocument({ acme: 's2' }), first);
    plane.applyRevision(second);
    const { all } = await warmUp(connect());
    const behind = await start();
    behind.controlPlane.applyRevision(first);
    const client = connect(behind.ads.address);
    client.ask('cluster', { initial_resource_versions: versions(all[0]) });
    client.ask('route', { resource_names_subscribe: ['gateway'], initial_resource_versions: versions(all[2]) });
    await until(() => client.ended, { deadlineMs: 5_000, what: 'the refusal' });
    expect([client.ended?.code, client.responses]).toEqual([14, []]);
  });

  it('with other and older versions: the difference, nothing else', async () => {
    plane.applyRevision(first);
    const { all } = await warmUp(connect());
    const client = connect();
    const held = { ...versions(all[0]), 'runner/s2': 'older', 'runner/gone': 'x' };
    client.ask('cluster', { initial_resource_versions: held });
    client.ask('route', { resource_names_subscribe: ['gateway'], initial_resource_versions: versions(all[2]) });
    const response = await client.next();
    expect([names(response), response.removed]).toEqual([['runner/s2'], []]);
  });

  it('with 100,000 versions is served', async () => {
    plane.applyRevision(first);
    const client = connect();
    const held = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`aggregate/x${index}`, 'abcdefg']));
    client.ask('cluster', { initial_resource_versions: held });
    client.ask('route', { resource_names_subscribe: ['gateway'] });
    expect(names(await client.next()).toSorted()).toEqual(CLUSTERS);
  });
});

describe('a client that does not read', () => {
  it('does not make the server queue, and gets the newest state later', async () => {
    let snapshot = first;
    plane.applyRevision(snapshot);
    const client = connect();
    await warmUp(client);
    client.pause();
    for (let count = 0; count < 2_000; count += 1) {
      snapshot = snapshotOf(routingDocument({ acme: count % 2 === 0 ? 's2' : 's1' }), snapshot);
      plane.applyRevision(snapshot);
    }
    client.resume();
    for (;;) {
      const response = await client.next();
      client.ack(response);
      if (response.resources[0]?.version.startsWith(`${snapshot.revision}-`)) break;
    }
    expect(client.responses.length).toBeLessThan(50);
  });
});

const never = (): never => {
  throw new Error('nothing was received');
};
