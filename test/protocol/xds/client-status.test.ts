import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { type AdsServer, startAdsServer } from '../../../xds/ads/server.ts';
import type { ControlPlane } from '../../../xds/control-plane.ts';
import { clientStatusService } from '../../../xds/csds/client-status-service.ts';
import { silentLog } from '../../support/nats.ts';
import { routingDocument, snapshotOf } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';
import { AdsClient } from './rig/ads-client.ts';
import { fetchClientStatus, neglectClientStatus, streamClientStatus, type ToldClient } from './rig/client-status.ts';
import { newControlPlane, startEdge } from './rig/edge.ts';
import { registry } from './rig/stub-authz.ts';

const DEADLINE_MS = 20_000;
/** Nothing new for so long: it has stopped. */
const STILL_MS = 400;
const typeOf = (typeUrl: string): string => typeUrl.split('.').at(-1) ?? '';
const find = (client: ToldClient | undefined, type: string, name: string) =>
  client?.generic_xds_configs?.find((each) => typeOf(each.type_url) === type && each.name === name);

describe('the client status of a client that says what the test says', () => {
  let stack: AsyncDisposableStack;
  let plane: ControlPlane;
  let server: AdsServer;
  let openStreamsCount: () => number;
  let answersCount: number;

  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    plane = newControlPlane({ port: 1, tlsPort: 2, accessLogPath: '/dev/null' }).controlPlane;
    answersCount = 0;
    const sessions = () => {
      answersCount += 1;
      return plane.sessions();
    };
    const service = clientStatusService({ registry, sessions });
    openStreamsCount = service.streamsCount;
    const services = [service];
    const listen = { host: '127.0.0.1', port: 0 };
    server = stack.use(await startAdsServer({ listen, host: plane, services, log: silentLog }));
  });
  afterEach(() => stack.disposeAsync());

  const statusOf = async (type: string, name: string) =>
    find((await fetchClientStatus(server.address))[0], type, name)?.config_status;

  it('follows a resource from sent to acknowledged, and says what was refused and why', async () => {
    const first = snapshotOf(routingDocument({ acme: 's1' }));
    plane.applyRevision(first);
    expect(await fetchClientStatus(server.address)).toEqual([]);
    const client = stack.use(new AdsClient(server.address));
    client.ask('cluster');
    const clusters = await client.next();
    const sent = await fetchClientStatus(server.address);
    expect(find(sent[0], 'Cluster', 'aggregate/s1')).toMatchObject({
      version_info: clusters.resources.find(({ name }) => name === 'aggregate/s1')?.version,
      config_status: 'STALE',
      client_status: 'REQUESTED',
    });
    client.ack(clusters);
    await until(async () => (await statusOf('Cluster', 'aggregate/s1')) === 'SYNCED', {
      deadlineMs: DEADLINE_MS,
      what: 'the acknowledgement to show',
    });
    client.ask('endpoint', { resource_names_subscribe: ['aggregate/s1', 'nothing/there'] });
    const told = await client.next();
    client.nack(await takeEndpoints(client, told), 'no such endpoint for me');
    await until(async () => (await statusOf('ClusterLoadAssignment', 'aggregate/s1')) === 'ERROR', {
      deadlineMs: DEADLINE_MS,
      what: 'the rejection to show',
    });
    const [status] = await fetchClientStatus(server.address);
    expect(find(status, 'ClusterLoadAssignment', 'aggregate/s1')).toMatchObject({
      client_status: 'NACKED',
      error_state: { details: 'no such endpoint for me', last_update_attempt: expect.stringMatching(/Z$/) },
    });
    expect(find(status, 'ClusterLoadAssignment', 'nothing/there')).toMatchObject({ client_status: 'DOES_NOT_EXIST' });
  });

  it('answers each request of a stream, for the nodes it names, with or without contents', async () => {
    plane.applyRevision(snapshotOf(routingDocument({ acme: 's1' })));
    for (const id of ['one', 'two']) {
      const client = stack.use(new AdsClient(server.address));
      client.ask('cluster', { node: { id } });
      await client.next();
    }
    const exactly = (exact: string) => ({ node_matchers: [{ node_id: { exact } }] });
    const answers = await streamClientStatus(server.address, [
      exactly('two'),
      { ...exactly('one'), exclude_resource_contents: true },
      exactly('three'),
    ]);
    expect(answers.map((clients) => clients.map(({ node }) => node.id))).toEqual([['two'], ['one'], []]);
    const [withContents, without] = answers.map(([client]) => find(client, 'Cluster', 'projection/s1'));
    expect(withContents?.xds_config).toMatchObject({ '@type': withContents?.type_url, name: 'projection/s1' });
    expect(without).toBeDefined();
    expect(without?.xds_config).toBeUndefined();
  });

  it('refuses matchers that it does not honour', async () => {
    for (const matcher of [
      { node_id: { prefix: 'e' } },
      { node_id: { exact: 'e', ignore_case: true } },
      { node_id: { exact: 'e' }, node_metadatas: [{ path: [{ key: 'a' }], value: { present_match: true } }] },
    ]) {
      await expect(fetchClientStatus(server.address, { node_matchers: [matcher] })).rejects.toMatchObject({ code: 3 });
    }
  });

  it('is refused to one stream too many, and served again when the others are gone', async () => {
    const cancel = neglectClientStatus(server.address, {
      streamsCount: LIMITS.clientStatusStreamsMaxCount,
      requestsCount: 0,
    });
    await until(() => openStreamsCount() === LIMITS.clientStatusStreamsMaxCount, {
      deadlineMs: DEADLINE_MS,
      what: 'the streams to be open',
    });
    await expect(streamClientStatus(server.address, [{}])).rejects.toMatchObject({ code: 8 });
    cancel();
    await until(() => openStreamsCount() === 0, { deadlineMs: DEADLINE_MS, what: 'the streams to be gone' });
    expect(await streamClientStatus(server.address, [{}])).toEqual([[]]);
  });

  it('makes no more answers for a client that does not read, and keeps nothing of it when it goes', async () => {
    plane.applyRevision(snapshotOf({ aggregate_shards: manyShards() }));
    const client = stack.use(new AdsClient(server.address));
    client.ask('cluster');
    client.ack(await client.next());
    const requestsCount = 500;
    const cancel = neglectClientStatus(server.address, { streamsCount: 1, requestsCount });
    let seen = { count: 0, atMs: performance.now() };
    const hasStopped = (): boolean => {
      if (answersCount > seen.count) seen = { count: answersCount, atMs: performance.now() };
      return seen.count > 0 && performance.now() - seen.atMs > STILL_MS;
    };
    await until(hasStopped, { deadlineMs: DEADLINE_MS, what: 'the answers to stop' });
    expect(answersCount).toBeLessThan(requestsCount);
    cancel();
    await until(() => openStreamsCount() === 0, { deadlineMs: DEADLINE_MS, what: 'the stream to be gone' });
  });

  it('is made in slices with 3,000 clusters: another stream is served meanwhile, and too many at once are refused', async () => {
    const shards = manyShards();
    plane.applyRevision(snapshotOf({ aggregate_shards: shards, projection_shards: shards, runner_shards: shards }));
    const client = stack.use(new AdsClient(server.address));
    client.ask('cluster');
    client.ack(await client.next());
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    count();
    const asked = await Promise.allSettled(
      Array.from({ length: LIMITS.clientStatusAnswersMaxCount * 2 }, () => fetchClientStatus(server.address)),
    );
    isOver = true;
    const [whole] = asked.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
    expect(whole?.generic_xds_configs?.length).toBeGreaterThanOrEqual(3_000);
    expect(turns).toBeGreaterThan(3_000 / LIMITS.clientStatusSliceMaxCount);
    const refused = asked.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    expect(refused.length).toBeGreaterThan(0);
    for (const reason of refused) expect(reason).toMatchObject({ code: 8 });
  });
});

it('tells of a real Envoy what its own configuration dump says, and never the key of the certificate', async () => {
  await using edge = await startEdge();
  const status = await until(
    async () => {
      const [client] = await fetchClientStatus(edge.ads.address, { node_matchers: [{ node_id: { exact: 'edge-1' } }] });
      const all = client?.generic_xds_configs ?? [];
      return all.length > 0 && all.every((each) => each.config_status === 'SYNCED') ? client : undefined;
    },
    { deadlineMs: DEADLINE_MS, what: 'everything to be acknowledged' },
  );
  const dump = JSON.parse(await edge.envoy.admin('/config_dump?resource=dynamic_active_clusters'));
  const versions = dump.configs.map((each: { version_info: string; cluster: { name: string } }) => [
    each.cluster.name,
    each.version_info,
  ]);
  expect(versions.length).toBeGreaterThanOrEqual(3);
  for (const [name] of versions) {
    expect(find(status, 'Cluster', name)).toMatchObject({ client_status: 'ACKED', last_updated: expect.any(String) });
  }
  expect(find(status, 'RouteConfiguration', 'gateway')?.version_info).toMatch(/^1-/);
  const types = new Set(status.generic_xds_configs?.map(({ type_url }) => typeOf(type_url)));
  expect(types).toEqual(new Set(['Cluster', 'ClusterLoadAssignment', 'Secret', 'Listener', 'RouteConfiguration']));
  const secrets = status.generic_xds_configs?.filter(({ type_url }) => typeOf(type_url) === 'Secret') ?? [];
  for (const secret of secrets) expect(secret.xds_config).toBeUndefined();
  expect(secrets.length).toBeGreaterThan(0);
});

const manyShards = () =>
  Object.fromEntries(
    Array.from({ length: 1_000 }, (_, index) => [`s${index}`, { endpoints: [{ address: '10.0.0.1', port: 9_001 }] }]),
  );

/** The response with endpoints in it: one that is not there is told in a response of its own. */
async function takeEndpoints(client: AdsClient, told: Awaited<ReturnType<AdsClient['next']>>) {
  if (told.resources.length > 0) {
    client.ack(await client.next());
    return told;
  }
  client.ack(told);
  return client.next();
}
