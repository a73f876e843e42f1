import { type PublishPorts, publishDocument } from '#app/publish-revision.ts';
import { SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { toDocument } from '#domain/routing/revision.ts';
import type { Endpoint, Shard, ShardDirectory } from '#domain/routing/types.ts';
import type { NodeHistory } from './data/node-history.ts';
import { LOOPBACK, type NodePlace } from './layout.ts';
import { StartError } from './start-error.ts';

/** A reference node and its port of this start. */
export interface NodeAddress extends NodePlace {
  readonly port: number;
}

/** The tenants of the demonstration and their shard, the same for every kind. */
const DEMO_TENANTS = { acme: 's1', globex: 's2' } as const;

type Shards = Readonly<Record<ServiceKind, ShardDirectory>>;

/** The routing of a fresh gateway: each node a shard, `acme` on s1, `globex` on s2. */
export function demoDocument(nodes: readonly NodeAddress[]): Record<string, unknown> {
  const parts = SERVICE_KINDS.flatMap((kind) => {
    const shards = nodes
      .filter((node) => node.kind === kind)
      .map((node) => [node.shard, { endpoints: [{ address: LOOPBACK, port: node.port }] }] as const);
    return [
      [`${kind}_placement`, DEMO_TENANTS],
      [`${kind}_shards`, Object.fromEntries(shards)],
    ] as const;
  });
  return Object.fromEntries(parts);
}

/**
 * The shards with the nodes' endpoints at their ports of this start; everything else as it is. Undefined when nothing
 * changes.
 */
export function moveNodes(shards: Shards, nodes: readonly NodeAddress[], history: NodeHistory): Shards | undefined {
  const owners = new Map(history);
  let moved = false;
  const endpointNow = (kind: ServiceKind, endpoint: Endpoint): Endpoint => {
    const owner = endpoint.address === LOOPBACK ? owners.get(endpoint.port) : undefined;
    const node = nodes.find((each) => each.kind === kind && each.name === owner);
    if (node === undefined || node.port === endpoint.port) return endpoint;
    moved = true;
    return { ...endpoint, port: node.port };
  };
  const shardNow = (kind: ServiceKind, shard: Shard): Shard => ({
    ...shard,
    endpoints: shard.endpoints.map((endpoint) => endpointNow(kind, endpoint)),
  });
  const directoryNow = (kind: ServiceKind): ShardDirectory =>
    new Map([...shards[kind]].map(([name, shard]) => [name, shardNow(kind, shard)] as const));
  const next = {
    aggregate: directoryNow('aggregate'),
    projection: directoryNow('projection'),
    runner: directoryNow('runner'),
  };
  return moved ? next : undefined;
}

/**
 * Gives a fresh gateway the demonstration's routing, and one whose nodes got other ports their new addresses. Routing
 * that is right already stays as it is, whoever published it.
 * @throws StartError when the revision is refused, StoreError when the storage does not answer
 */
export async function seedRouting(
  ports: PublishPorts,
  { nodes, history }: { readonly nodes: readonly NodeAddress[]; readonly history: NodeHistory },
): Promise<void> {
  const current = await ports.store.head();
  const shards = current === undefined ? undefined : moveNodes(current.shards, nodes, history);
  if (current !== undefined && shards === undefined) return;
  const published = await publishDocument(ports, {
    by: 'development gateway',
    note: current === undefined ? 'demonstration' : 'reference nodes have other ports',
    expectedRevision: current?.revision ?? 0,
    document:
      current === undefined || shards === undefined
        ? demoDocument(nodes)
        : toDocument({ shards, placements: current.placements }),
  });
  if (!published.ok) {
    const mistakes = (published.error.errors ?? []).map(({ pointer, detail }) => `\n  ${pointer} ${detail}`).join('');
    throw new StartError(`routing was not published: ${published.error.detail}${mistakes}`);
  }
}
