import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { type NodeProcess, startNodeProcess } from '../../nodes/start-node.ts';
import { freePort } from '../../support/free-port.ts';
import { until } from '../../support/wait.ts';
import { type Edge, startEdge } from '../xds/rig/edge.ts';

/** What the settings of a shard do in a real Envoy. */
let edge: Edge;
/** Shard that the stub of ext_authz sends to. */
let target = 's1';
beforeAll(async () => {
  edge = await startEdge();
  edge.authz.decide = ({ context }) => ({ allow: `${context['target']}/${target}` });
});
afterAll(() => edge?.[Symbol.asyncDispose]());

const WORKERS_COUNT = 4;

type Shards = Readonly<Record<string, unknown>>;
const all: Partial<Record<ServiceKind, Shards>> = {};

/** Publishes one more shard of a kind, and sends requests to it from now on. */
function serve(kind: ServiceKind, name: string, shard: Shards): void {
  all[kind] = { ...all[kind], [name]: shard };
  edge.apply((ports) =>
    Object.fromEntries(
      SERVICE_KINDS.map((each) => {
        const endpoints = [{ address: '127.0.0.1', port: ports[each] }];
        return [`${each}_shards`, { s1: { endpoints }, ...all[each] }];
      }),
    ),
  );
  target = name;
}

/** Health of each endpoint of a cluster as Envoy has it, by address. */
async function healthOf(cluster: string): Promise<Readonly<Record<string, string>>> {
  const lines = (await edge.envoy.admin('/clusters')).split('\n');
  const fields = lines
    .map((line) => line.split('::'))
    .filter(([name, , field]) => name === cluster && field === 'health_flags');
  return Object.fromEntries(fields.map(([, address, , flags]) => [address, flags]));
}
const untilHealthy = (cluster: string, addresses: readonly string[]) =>
  until(
    async () => {
      const healthy = Object.entries(await healthOf(cluster)).filter(([, flags]) => flags === 'healthy');
      return (
        healthy
          .map(([address]) => address)
          .toSorted()
          .join() === addresses.toSorted().join()
      );
    },
    { deadlineMs: 15_000, what: `the endpoints of ${cluster} to be healthy` },
  ).catch(async (error: unknown) => {
    const state = JSON.stringify({ health: await healthOf(cluster), events: edge.events.slice(-5) });
    throw new Error(`${state}\n${edge.envoy.log()}`, { cause: error });
  });

async function query(): Promise<{ readonly status: number; readonly servedBy: string | null }> {
  const response = await fetch(`${edge.http}/v1/query/list`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-tenant-id': 'acme' },
    body: '{}',
  });
  await response.arrayBuffer();
  return { status: response.status, servedBy: response.headers.get('x-served-by') };
}

const at = (node: Pick<NodeProcess, 'port'>) => ({ address: '127.0.0.1', port: node.port });

describe('an Envoy that is running', () => {
  it('takes the richest shard of each kind and asks its endpoints as told', async () => {
    const nodes = await Promise.all(SERVICE_KINDS.map((kind) => startNodeProcess(kind, 'rich')));
    await using stack = new AsyncDisposableStack();
    for (const node of nodes) stack.use(node);
    const quick = { interval_ms: 200, timeout_ms: 500, unhealthy_threshold: 2, healthy_threshold: 1 };
    const settings = {
      outlier_detection: {
        consecutive_gateway_failures: 2,
        consecutive_5xx: 10,
        interval_ms: 500,
        base_ejection_ms: 60_000,
        max_ejection_percent: 34,
      },
      circuit_breakers: { max_connections: 8, max_pending_requests: 900, max_requests: 5_000, max_retries: 20 },
      slow_start_ms: 5_000,
      connect_timeout_ms: 250,
    };
    const health: Record<ServiceKind, Shards> = {
      aggregate: { protocol: 'h2', health: { grpc: { service: 'aggregate.gateway.v1.CommandService' }, ...quick } },
      projection: { protocol: 'h2', health: { path: '/ready', ...quick } },
      runner: { health: { path: '/ready', ...quick } },
    };
    const rejected = edge.events.filter(({ kind }) => kind === 'rejected').length;
    for (const node of nodes) {
      serve(node.kind, 'rich', { endpoints: [{ ...at(node), weight: 7 }], ...settings, ...health[node.kind] });
    }
    for (const node of nodes) await untilHealthy(`${node.kind}/rich`, [node.address]);
    expect(edge.events.filter(({ kind }) => kind === 'rejected')).toHaveLength(rejected);
    const clusters = await edge.envoy.admin('/clusters');
    expect(clusters).toContain('projection/rich::default_priority::max_connections::8');
    expect(clusters).toContain('projection/rich::default_priority::max_retries::20');
    expect(await query()).toEqual({ status: 200, servedBy: 'projection/rich' });
  });

  it('resolves names and addresses side by side', async () => {
    await using named = await startNodeProcess('projection', 'named');
    await using plain = await startNodeProcess('projection', 'plain');
    const endpoints = [{ address: 'localhost', port: named.port, weight: 2 }, at(plain)];
    serve('projection', 'dns', { endpoints, health: { path: '/ready', interval_ms: 200 } });
    await untilHealthy('projection/dns', [named.address, plain.address]);
    const seen = new Set<string | null>();
    await until(
      async () => {
        const { status, servedBy } = await query();
        expect(status).toBe(200);
        return seen.add(servedBy).size === 2;
      },
      { deadlineMs: 10_000, what: 'both endpoints to be used' },
    );
    expect([...seen].toSorted()).toEqual(['projection/named', 'projection/plain']);
  });

  it('sends nothing more to an endpoint that left the document, however healthy it is', async () => {
    await using stays = await startNodeProcess('projection', 'stays');
    await using leaves = await startNodeProcess('projection', 'leaves');
    const shard = { health: { path: '/ready', interval_ms: 200 } };
    serve('projection', 'shrinks', { ...shard, endpoints: [at(stays), at(leaves)] });
    await untilHealthy('projection/shrinks', [stays.address, leaves.address]);
    serve('projection', 'shrinks', { ...shard, endpoints: [at(stays)] });
    await until(async () => !Object.hasOwn(await healthOf('projection/shrinks'), leaves.address), {
      deadlineMs: 5_000,
      what: 'the endpoint to be gone',
    });
    for (let count = 0; count < 50; count += 1) expect((await query()).servedBy).toBe('projection/stays');
  });

  it('ejects a failing endpoint, but never the only one', async () => {
    await using good = await startNodeProcess('projection', 'good');
    const gone = { address: '127.0.0.1', port: await freePort() };
    const ejections = (shard: string, name: string) =>
      edge.envoy.stat(`cluster.projection/${shard}.outlier_detection.${name}`);
    serve('projection', 'lone', { endpoints: [gone] });
    await until(async () => (await query()).status === 503 && (await ejections('lone', 'ejections_overflow')) > 0, {
      deadlineMs: 10_000,
      what: 'an ejection to be considered',
    });
    expect(await ejections('lone', 'ejections_active')).toBe(0);
    serve('projection', 'two', { endpoints: [gone, at(good)], outlier_detection: { base_ejection_ms: 60_000 } });
    await until(
      async () => (await query()).servedBy === 'projection/good' && (await ejections('two', 'ejections_active')) === 1,
      {
        deadlineMs: 10_000,
        what: 'the ejection',
      },
    );
    expect(await healthOf('projection/two')).toMatchObject({ [`127.0.0.1:${gone.port}`]: '/failed_outlier_check' });
  });

  it('answers every query that begins after one of two endpoints was killed under load', async () => {
    await using survivor = await startNodeProcess('projection', 'survivor');
    await using victim = await startNodeProcess('projection', 'victim');
    serve('projection', 'pair', {
      endpoints: [at(survivor), at(victim)],
      health: { path: '/ready', interval_ms: 200, timeout_ms: 200 },
    });
    await untilHealthy('projection/pair', [survivor.address, victim.address]);
    const answers: (Awaited<ReturnType<typeof query>> & { readonly beganAt: number })[] = [];
    const reached = (count: number) =>
      until(() => answers.length >= count, { deadlineMs: 30_000, what: `${count} answers` });
    let done = false;
    const workers = Array.from({ length: WORKERS_COUNT }, async () => {
      while (!done) {
        const beganAt = performance.now();
        answers.push({ ...(await query()), beganAt });
      }
    });
    let diedAt = Number.POSITIVE_INFINITY;
    try {
      await reached(200);
      const died = once(victim.child, 'exit');
      victim.child.kill('SIGKILL');
      await died;
      diedAt = performance.now();
      const count = answers.length;
      await untilHealthy('projection/pair', [survivor.address]);
      await reached(count + 1_000);
    } finally {
      done = true;
      await Promise.all(workers);
    }
    const before = answers.filter(({ beganAt }) => beganAt < diedAt);
    const after = answers.filter(({ beganAt }) => beganAt >= diedAt);
    const used = new Set(before.map(({ servedBy }) => servedBy).filter((servedBy) => servedBy !== null));
    expect(used).toEqual(new Set(['projection/survivor', 'projection/victim']));
    const failed = (of: typeof answers) => of.filter(({ status }) => status !== 200).length;
    expect(after.length).toBeGreaterThanOrEqual(500);
    expect(failed(after)).toBe(0);
    // What was on the killed process itself is asked again: a query writes nothing.
    expect(failed(before)).toBe(0);
    expect(after.slice(-50).every(({ servedBy }) => servedBy === 'projection/survivor')).toBe(true);
  });
});
