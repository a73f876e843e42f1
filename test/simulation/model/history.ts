import { clusterName, SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { EMPTY_PLACEMENTS } from '#domain/routing/placement-table.ts';
import type { PlacementChange, RoutingSnapshot, Shard, ShardDirectory } from '#domain/routing/types.ts';
import { runToEnd } from '#domain/steps.ts';

type Shards = Readonly<Record<ServiceKind, ShardDirectory>>;

/** What a revision says of one cluster, as the texts that Envoys get. */
interface ClusterTexts {
  readonly cluster: string;
  /** Undefined where Envoy resolves the addresses itself. */
  readonly endpoints: string | undefined;
}

export interface Revision {
  readonly snapshot: RoutingSnapshot;
  readonly clusters: ReadonlyMap<string, ClusterTexts>;
  /** Clusters that some tenant is placed on. */
  readonly used: ReadonlySet<string>;
  readonly placed: readonly { readonly tenant: string; readonly kind: ServiceKind }[];
}

/** Marks content that the Envoy of a number refuses; 0 stands for all. */
export const badHealth = (envoy: number) => ({ path: `/bad/${envoy}` });
export const badWeight = (envoy: number): number => 900 + envoy;

const MARK = /bad\/(\d+)|\*9(\d\d)/;
const isMarked = (text: string): boolean => MARK.test(text);

/** Whether an Envoy refuses a cluster or endpoints of this content. */
export function isRefused(envoy: number, text: string): boolean {
  const marked = MARK.exec(text);
  if (marked === null) return false;
  const whom = Number(marked[1] ?? marked[2]);
  return whom === 0 || whom === envoy;
}

const isResolved = (shard: Shard): boolean => shard.endpoints.some(({ address }) => address.endsWith('.test'));

const addressesText = (shard: Shard): string =>
  shard.endpoints.map(({ address, port, weight }) => `${address}:${port}*${weight}`).join();

export const clusterText = (shard: Shard): string =>
  [shard.protocol, isResolved(shard) ? addressesText(shard) : 'eds', shard.health?.path ?? ''].join(' ');

export const endpointsText = (shard: Shard): string | undefined =>
  isResolved(shard) ? undefined : addressesText(shard);

/** Whether the text of a cluster says that its endpoints come by EDS. */
export const isByEds = (text: string): boolean => text.includes(' eds ');

const NO_SHARDS: Shards = { aggregate: new Map(), projection: new Map(), runner: new Map() };
const FIRST: RoutingSnapshot = {
  revision: 0,
  parent: 0,
  manifest: '',
  kindRevisions: { aggregate: 0, projection: 0, runner: 0 },
  at: '',
  by: '',
  note: '',
  shards: NO_SHARDS,
  placements: EMPTY_PLACEMENTS,
};

/** The modelled store: every revision ever published. Number 0 is the empty one before the first. */
export class History {
  readonly #revisions: Revision[] = [describeRevision(FIRST)];
  /** The newest revision in which a cluster is refused by somebody. */
  readonly #spoiltAt = new Map<string, number>();

  /** Whether a shard holds something that an Envoy refuses, in that revision or in one that came after it. */
  isSpoilt(cluster: string, since: number): boolean {
    return (this.#spoiltAt.get(cluster) ?? -1) >= since;
  }

  /** Whether the newest revision has a shard of names, which Envoys resolve, under this name. */
  isResolvedNow(cluster: string): boolean {
    const texts = this.newest.clusters.get(cluster);
    return texts !== undefined && texts.endpoints === undefined;
  }

  get newest(): Revision {
    return this.at(this.#revisions.length - 1);
  }

  get newestNumber(): number {
    return this.#revisions.length - 1;
  }

  at(revision: number): Revision {
    const found = this.#revisions[revision];
    if (found === undefined) throw new Error(`there is no revision ${revision}`);
    return found;
  }

  /** The next revision: some shards put (or taken away by undefined), some tenants moved. */
  publish(change: {
    readonly shards?: readonly (readonly [kind: ServiceKind, name: string, shard: Shard | undefined])[];
    readonly moves?: readonly PlacementChange[];
  }): void {
    const { snapshot } = this.newest;
    const revision = snapshot.revision + 1;
    const shards = { ...snapshot.shards };
    for (const [kind, name, shard] of change.shards ?? []) {
      const directory = new Map(shards[kind]);
      if (shard === undefined) directory.delete(name);
      else directory.set(name, shard);
      shards[kind] = directory;
    }
    const placements = snapshot.placements.with(change.moves ?? [], revision);
    this.#push({ ...snapshot, revision, parent: revision - 1, shards, placements });
  }

  /** The content of an earlier revision as a new one. */
  rollback(to: number): void {
    const { snapshot } = this.newest;
    const { shards, placements } = this.at(to).snapshot;
    const revision = snapshot.revision + 1;
    this.#push({
      ...snapshot,
      revision,
      parent: revision - 1,
      shards,
      placements: runToEnd(snapshot.placements.withPlacementsOfInSteps(placements, revision)),
    });
  }

  #push(snapshot: RoutingSnapshot): void {
    const revision = describeRevision(snapshot);
    for (const name of revision.used) if (!revision.clusters.has(name)) throw new Error(`${name} is used and missing`);
    for (const [name, { cluster, endpoints }] of revision.clusters) {
      if (isMarked(cluster) || isMarked(endpoints ?? '')) this.#spoiltAt.set(name, snapshot.revision);
    }
    this.#revisions.push(revision);
  }
}

function describeRevision(snapshot: RoutingSnapshot): Revision {
  const clusters = new Map<string, ClusterTexts>();
  const used = new Set<string>();
  const placed: { readonly tenant: string; readonly kind: ServiceKind }[] = [];
  for (const kind of SERVICE_KINDS) {
    for (const [name, shard] of snapshot.shards[kind]) {
      clusters.set(clusterName(kind, name), { cluster: clusterText(shard), endpoints: endpointsText(shard) });
    }
  }
  for (const [tenant, placements] of snapshot.placements.entries()) {
    for (const kind of SERVICE_KINDS) {
      const placement = placements[kind];
      if (placement === undefined) continue;
      used.add(clusterName(kind, placement.shard));
      placed.push({ tenant, kind });
    }
  }
  return { snapshot, clusters, used, placed };
}
