import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AdsServer, startAdsServer } from '../../../xds/ads/server.ts';
import type { ControlPlane } from '../../../xds/control-plane.ts';
import { silentLog } from '../../support/nats.ts';
import { snapshotOf } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';
import type { ReadResponse } from '../../unit/xds/simulation/read-response.ts';
import { AdsClient } from './rig/ads-client.ts';
import { newControlPlane } from './rig/edge.ts';

/** Clients over real gRPC that reject what the test says, as an Envoy would, among 1,000 shards of each kind. */
const SHARDS_COUNT = 1_000;
const DEADLINE_MS = 10_000;
/** Any one response takes far less; the acceptance is that all of it is over within a second. */
const LIVE_MS = 1_000;

let stack: AsyncDisposableStack;
let plane: ControlPlane;
let server: AdsServer;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  plane = newControlPlane({ port: 1, tlsPort: 2, accessLogPath: '/dev/null' }).controlPlane;
  server = stack.use(await startAdsServer({ listen: { host: '127.0.0.1', port: 0 }, host: plane, log: silentLog }));
});
afterEach(() => stack.disposeAsync());

const endpoint = (port: number) => ({ endpoints: [{ address: '10.0.0.1', port }] });

/** A document with `SHARDS_COUNT` shards of each kind, all at one port, except those named. */
function documentOf(port: number, other: Readonly<Record<string, unknown>> = {}) {
  const names = Array.from({ length: SHARDS_COUNT }, (_, index) => `s${index}`);
  const shards = Object.fromEntries(names.map((name) => [name, endpoint(port)]));
  return { aggregate_shards: shards, projection_shards: { ...shards, ...other }, runner_shards: shards };
}

/** Acknowledges like an Envoy, and rejects responses of one type that hold one of the names in a content it refuses. */
class Follower {
  readonly held = new Map<string, string>();
  /** How often it was sent something that it rejects. */
  refusedCount = 0;
  readonly #client: AdsClient;
  readonly #rejects: (type: string, name: string, content: string) => boolean;
  #isStopped = false;
  stamp = 0;

  constructor(rejects: (type: string, name: string, content: string) => boolean = () => false) {
    this.#client = stack.use(new AdsClient(server.address));
    this.#rejects = rejects;
    this.#client.ask('cluster');
    this.#client.ask('route', { resource_names_subscribe: ['gateway'] });
    stack.defer(() => {
      this.#isStopped = true;
    });
    void this.#follow();
  }

  async #follow(): Promise<void> {
    while (!this.#isStopped) {
      const response = await this.#client.next().catch(() => undefined);
      if (response !== undefined) this.#answer(response);
    }
  }

  #answer(response: ReadResponse): void {
    const type = response.typeUrl.split('.').at(-1) ?? '';
    const refused = response.resources.find(({ name, content }) =>
      this.#rejects(type, name, Buffer.from(content).toString('latin1')),
    );
    if (refused !== undefined) this.refusedCount += 1;
    // Envoy applies the valid clusters and endpoints of a response that it rejects.
    for (const resource of response.resources) {
      const { name, version, content } = resource;
      if (this.#rejects(type, name, Buffer.from(content).toString('latin1'))) continue;
      if (type === 'Cluster' && !this.held.has(`Cluster ${name}`)) {
        this.#client.ask('endpoint', { resource_names_subscribe: [name] });
      }
      this.held.set(`${type} ${name}`, version);
      if (type === 'RouteConfiguration') this.stamp = Number(version.split('-')[0]);
    }
    if (refused === undefined) this.#client.ack(response);
    else this.#client.nack(response, `Error adding/updating cluster(s) ${refused.name}: no such thing`);
  }
}

const QUIET_MS = 250;

const untilStamped = (revision: number, ...followers: readonly Follower[]) =>
  until(() => followers.every(({ stamp }) => stamp === revision), {
    deadlineMs: DEADLINE_MS,
    what: `stamp ${revision}`,
  });

/** Both find the culprit by halving, the second perhaps after the first has named it. @returns what each refused in all */
async function untilQuiet(followers: readonly Follower[]): Promise<readonly number[]> {
  const counts = () => followers.map(({ refusedCount }) => refusedCount);
  let [last, sinceMs] = [counts(), performance.now()];
  await until(
    () => {
      if (counts().some((count, index) => count !== last[index])) [last, sinceMs] = [counts(), performance.now()];
      return performance.now() - sinceMs > QUIET_MS;
    },
    { deadlineMs: DEADLINE_MS, what: 'both to have found the culprit' },
  );
  return last;
}

describe('one bad entry among 1,000 of each kind', () => {
  it.each([
    ['a cluster', 'Cluster', { ...endpoint(9), health: { path: '/refused' } }, '/refused', ''],
    ['endpoints', 'ClusterLoadAssignment', endpoint(999), '\x18\xe7\x07', '/endpoints/0/port'],
  ])(
    '%s: the culprit alone is kept back and named, and live within a second when it is corrected',
    async (_, type, bad, mark, path) => {
      const rejects = (each: string, name: string, content: string) =>
        each === type && name === 'projection/s7' && content.includes(mark);
      const first = snapshotOf(documentOf(1));
      plane.applyRevision(first);
      const followers = [new Follower(rejects), new Follower(rejects)];
      await untilStamped(1, ...followers);
      const good = followers[0]?.held.get(`${type} projection/s7`);

      const second = snapshotOf(documentOf(2, { s7: bad }), first);
      plane.applyRevision(second);
      await untilStamped(2, ...followers);
      await until(() => plane.quarantined().length > 0, { deadlineMs: DEADLINE_MS, what: 'the culprit' });
      expect(plane.quarantined()).toMatchObject([
        {
          ...{ kind: 'projection', shard: 's7', sinceRevision: 2, serving: 'last_good' },
          error: 'Error adding/updating cluster(s) projection/s7: no such thing',
        },
      ]);
      expect(plane.quarantined()[0]?.pointer).toBe(`/projection_shards/s7${path}`);
      for (const { held } of followers) {
        await until(() => held.get(`${type} projection/s7`) === good, {
          deadlineMs: DEADLINE_MS,
          what: 'the good one',
        });
        expect([...held.keys()].filter((key) => key.startsWith('Cluster '))).toHaveLength(3 * SHARDS_COUNT);
      }

      // Neither to a new client, nor again to those that know it.
      const refused = await untilQuiet(followers);
      const late = new Follower(rejects);
      await untilStamped(2, late);
      expect(late.held.get(`${type} projection/s7`)).toBe(good);
      expect([late.refusedCount, ...followers.map(({ refusedCount }) => refusedCount)]).toEqual([0, ...refused]);

      plane.applyRevision(snapshotOf(documentOf(2, { s7: endpoint(7) }), second));
      await until(() => [...followers, late].every(({ stamp }) => stamp === 3), {
        deadlineMs: LIVE_MS,
        what: 'the correction',
      });
      expect(plane.quarantined()).toEqual([]);
    },
  );

  it('a new one holds up neither the stamp nor the others, and is there within a second when it is corrected', async () => {
    const rejects = (type: string, name: string, content: string) =>
      type === 'Cluster' && name === 'projection/fresh' && content.includes('/refused');
    const first = snapshotOf(documentOf(1, { fresh: { ...endpoint(1), health: { path: '/refused' } } }));
    plane.applyRevision(first);
    const follower = new Follower(rejects);
    await untilStamped(1, follower);
    expect(plane.quarantined()).toMatchObject([{ pointer: '/projection_shards/fresh', serving: 'nothing' }]);
    expect(follower.held.has('Cluster projection/fresh')).toBe(false);
    plane.applyRevision(snapshotOf(documentOf(1, { fresh: endpoint(1) }), first));
    await until(() => follower.held.has('ClusterLoadAssignment projection/fresh') && follower.stamp === 2, {
      deadlineMs: LIVE_MS,
      what: 'the correction',
    });
    expect(plane.quarantined()).toEqual([]);
  });
});
