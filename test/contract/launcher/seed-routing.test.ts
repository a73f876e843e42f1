import { expect, test } from 'vitest';
import { ensureBucket } from '#adapters/nats/bucket.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges } from '#app/publish-revision.ts';
import { NODES } from '../../../src/launcher/layout.ts';
import { type NodeAddress, seedRouting } from '../../../src/launcher/seed-routing.ts';
import { silentLog, startNats } from '../../support/nats.ts';

const nodesFrom = (firstPort: number): readonly NodeAddress[] =>
  NODES.map((node, index) => ({ ...node, port: firstPort + index }));
const historyOf = (nodes: readonly NodeAddress[]) => nodes.map(({ port, name }) => [port, name] as const);
const clock = { nowMs: () => Date.now() };

test('a fresh store gets the demonstration once; other ports change the endpoints and nothing else', async () => {
  await using nats = await startNats();
  const link = await nats.connect();
  await ensureBucket(link, { bucket: 'ROUTING', replicas: 1 });
  const store = new RevisionStore({ store: new NatsKeyValueStore(link, 'ROUTING', silentLog), log: silentLog });
  const ports = { store, clock };

  const first = nodesFrom(9_000);
  await seedRouting(ports, { nodes: first, history: historyOf(first) });
  await seedRouting(ports, { nodes: first, history: historyOf(first) });
  const demo = await store.head();
  expect(demo).toMatchObject({ revision: 1, by: 'development gateway', note: 'demonstration' });

  const moved = await publishChanges(ports, {
    by: 'somebody',
    changes: { changes: [{ tenant: 'acme', projection: 's2' }] },
  });
  expect(moved).toMatchObject({ ok: true, value: { revision: 2 } });
  const second = nodesFrom(9_100);
  await seedRouting(ports, { nodes: second, history: [...historyOf(first), ...historyOf(second)] });
  const head = await store.head();
  expect(head).toMatchObject({ revision: 3, note: 'reference nodes have other ports' });
  for (const node of second) {
    expect(head?.shards[node.kind].get(node.shard)?.endpoints).toEqual([
      { address: '127.0.0.1', port: node.port, weight: 1 },
    ]);
  }
  expect(head?.placements.get('acme')).toEqual({
    aggregate: { shard: 's1', epoch: 1 },
    projection: { shard: 's2', epoch: 2 },
    runner: { shard: 's1', epoch: 1 },
  });
});
