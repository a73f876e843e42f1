import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SERVICE_KINDS } from '#domain/ids.ts';
import { NODES } from '../../../src/launcher/layout.ts';
import { demoDocument, moveNodes } from '../../../src/launcher/seed-routing.ts';
import { parseRoutingDocument } from '../../support/fixtures/routing-at-once.ts';

const nodesFrom = (firstPort: number) => NODES.map((node, index) => ({ ...node, port: firstPort + index }));
const historyOf = (nodes: ReturnType<typeof nodesFrom>) => nodes.map(({ port, name }) => [port, name] as const);

function shardsOf(document: unknown) {
  const parsed = parseRoutingDocument(document);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value.shards;
}

test('the demonstration places acme on s1 and globex on s2 of every kind', () => {
  const parsed = parseRoutingDocument(demoDocument(nodesFrom(9_000)));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  for (const kind of SERVICE_KINDS) {
    expect(parsed.value.placements.get('acme')?.[kind]).toBe('s1');
    expect(parsed.value.placements.get('globex')?.[kind]).toBe('s2');
    expect([...parsed.value.shards[kind].keys()]).toEqual(['s1', 's2']);
  }
});

test('nodes at their old ports change nothing', () => {
  const nodes = nodesFrom(9_000);
  expect(moveNodes(shardsOf(demoDocument(nodes)), nodes, historyOf(nodes))).toBeUndefined();
});

test('wherever the ports go, the demonstration follows', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 1_020 }), fc.integer({ min: 1_000, max: 1_020 }), (before, after) => {
      const old = nodesFrom(before);
      const now = nodesFrom(after);
      const shards = shardsOf(demoDocument(old));
      // Ranges overlap: a port may have changed hands between two nodes.
      const moved = moveNodes(shards, now, historyOf(old)) ?? shards;
      expect(moved).toEqual(shardsOf(demoDocument(now)));
    }),
  );
});

test('what somebody else wrote stays: other addresses, other ports, other kinds, health and weight', () => {
  const old = nodesFrom(9_000);
  const now = nodesFrom(9_100);
  const aggregate = old[0]?.port ?? 0;
  const document = {
    aggregate_shards: {
      s1: {
        endpoints: [
          { address: '10.0.0.5', port: aggregate },
          { address: '127.0.0.1', port: 7_777 },
          { address: '127.0.0.1', port: aggregate, weight: 3 },
        ],
      },
    },
    projection_shards: {
      own: { endpoints: [{ address: '127.0.0.1', port: aggregate }], health: { path: '/ready' } },
    },
  };
  const moved = moveNodes(shardsOf(document), now, historyOf(old));
  expect(moved?.aggregate.get('s1')?.endpoints).toEqual([
    { address: '10.0.0.5', port: aggregate, weight: 1 },
    { address: '127.0.0.1', port: 7_777, weight: 1 },
    { address: '127.0.0.1', port: now[0]?.port, weight: 3 },
  ]);
  expect(moved?.projection).toEqual(shardsOf(document).projection);
});
