import { clusterName, SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import type { RoutingSnapshot, Shard, ShardDirectory } from '#domain/routing/types.ts';
import type { QuarantinedShard } from '#ports/replica-board.ts';
import type { AdsSession } from './ads/session.ts';
import type { SessionEvent } from './ads/session-event.ts';
import type { ControlPlaneOptions } from './control-plane.ts';
import { quarantineRecord } from './quarantine.ts';
import type { Resource } from './snapshot/resource.ts';
import type { ResourceTable } from './snapshot/resource-table.ts';

export interface ShardOffersOptions
  extends Pick<ControlPlaneOptions, 'encode' | 'translateCluster' | 'translateEndpoints' | 'nowMs'> {
  readonly clusters: ResourceTable;
  readonly endpoints: ResourceTable;
  /** The Envoys connected now. */
  readonly sessions: Iterable<AdsSession>;
}

/** Cluster names by what happened to them; Envoys are to be told of the first two. */
export interface OfferChanges {
  readonly clusters: readonly string[];
  readonly endpoints: readonly string[];
  /** New or changed in the document, whatever is offered of them. */
  readonly present: readonly string[];
  /** In the document no longer; they are offered until `forget`. */
  readonly dropped: readonly string[];
}

type Rejection = Extract<SessionEvent, { kind: 'rejected' }>;

/** One value of a shard, ready to be sent. */
interface Offer {
  readonly shard: Shard;
  /** The revision that brought it. */
  readonly revision: number;
  readonly cluster: Resource;
  readonly endpoints: Resource | undefined;
  /** Whether an Envoy was seen to have taken all of it. */
  readonly isProven: boolean;
}

interface Entry {
  readonly kind: ServiceKind;
  readonly shardName: string;
  /** What Envoys get; nothing while a new entry is kept back. */
  offered: Offer | undefined;
  /** What they get instead when `offered` is rejected: the newest proven one, without one the one before. */
  fallback: Offer | undefined;
  /** The entry of the document, when it is not what is offered; `refused` is absent when it was never encoded. */
  quarantine: { readonly record: QuarantinedShard; readonly refused: Offer | undefined } | undefined;
}

const NO_SHARDS: Readonly<Record<ServiceKind, ShardDirectory>> = {
  aggregate: new Map(),
  projection: new Map(),
  runner: new Map(),
};

/**
 * Decides for each shard entry of the routing document what Envoys are offered of it, so that one bad entry harms no
 * other. An entry is in one of these states:
 *
 * - on trial: the document's value is offered; the last good one is kept aside until an Envoy was seen to have it.
 * - in force: an Envoy was seen to have it. Who rejects it later is alone in that (an older Envoy, say): it keeps what
 *   it had, and nobody else loses a value that works.
 * - quarantined: it cannot be encoded, or the first Envoy to answer rejected it. The last good value is offered to
 *   everybody; without one nothing is, but who holds an older one keeps it. The same bytes are offered to nobody again.
 *
 * A changed entry is tried at once, except when an Envoy that is connected has rejected exactly that value before.
 * Work is per changed entry and per rejection; acknowledgements cost nothing, the Envoys are asked when it matters.
 */
export class ShardOffers {
  readonly #options: ShardOffersOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #quarantined = new Set<Entry>();
  #shards = NO_SHARDS;
  #quarantineChanges = 0;

  constructor(options: ShardOffersOptions) {
    this.#options = options;
  }

  /** Puts the shards of a newer revision into the tables. */
  apply({ revision, shards }: Pick<RoutingSnapshot, 'revision' | 'shards'>): OfferChanges {
    const clusters: string[] = [];
    const endpoints: string[] = [];
    const present: string[] = [];
    const dropped: string[] = [];
    for (const kind of SERVICE_KINDS) {
      const before = this.#shards[kind];
      const after = shards[kind];
      if (before === after) continue;
      for (const [shardName, shard] of after) {
        if (before.get(shardName) === shard) continue;
        const name = clusterName(kind, shardName);
        const entry = this.#entryOf(name, { kind, shardName });
        const wasQuarantined = entry.quarantine !== undefined;
        this.#consider(entry, shard, revision);
        const changed = this.#place(name, entry.offered);
        const isReleased = wasQuarantined && entry.quarantine === undefined;
        if (changed.cluster || isReleased) clusters.push(name);
        if (changed.endpoints || isReleased) endpoints.push(name);
        present.push(name);
      }
      for (const shardName of before.keys()) {
        if (after.has(shardName)) continue;
        const name = clusterName(kind, shardName);
        this.#settle(this.#entryOf(name, { kind, shardName }), undefined);
        dropped.push(name);
      }
    }
    this.#shards = shards;
    return { clusters, endpoints, present, dropped };
  }

  /** An Envoy rejected something. @returns what others are to be told; undefined when it concerns nobody else */
  rejected(
    session: AdsSession,
    { type, culprit, error }: Rejection,
  ): Pick<OfferChanges, 'clusters' | 'endpoints'> | undefined {
    if (culprit === undefined || (type !== 'cluster' && type !== 'endpoint')) return undefined;
    const entry = this.#entries.get(culprit.name);
    if (entry === undefined) return undefined;
    if (this.#isHeldElsewhere(session, type, culprit)) return undefined;
    const { offered } = entry;
    if (resourceOf(entry.fallback, type)?.version === culprit.version) entry.fallback = undefined;
    if (offered === undefined || resourceOf(offered, type)?.version !== culprit.version) return undefined;
    entry.offered = entry.fallback;
    entry.fallback = undefined;
    const { kind, shardName, quarantine } = entry;
    const good = entry.offered?.shard;
    // The last good value of an entry that is kept back already: the entry stays the one to be mended.
    const record =
      quarantine === undefined
        ? quarantineRecord({
            ...{ kind, shardName, type, error, good, node: session.node },
            ...{ shard: offered.shard, revision: offered.revision, atMs: this.#options.nowMs() },
          })
        : { ...quarantine.record, serving: good === undefined ? ('nothing' as const) : ('last_good' as const) };
    this.#settle(entry, { record, refused: quarantine === undefined ? offered : quarantine.refused });
    this.#place(culprit.name, entry.offered);
    return { clusters: [culprit.name], endpoints: entry.offered === undefined ? [] : [culprit.name] };
  }

  /** A dropped shard is offered no longer. */
  forget(name: string): void {
    this.#entries.delete(name);
    this.#place(name, undefined);
  }

  /** Another number whenever `quarantined` has changed. */
  get quarantineChanges(): number {
    return this.#quarantineChanges;
  }

  isQuarantined(name: string): boolean {
    return this.#entries.get(name)?.quarantine !== undefined;
  }

  /** Every entry that is kept back, the newest last. */
  quarantined(): readonly QuarantinedShard[] {
    return [...this.#quarantined].flatMap(({ quarantine }) => quarantine?.record ?? []);
  }

  #entryOf(name: string, place: Pick<Entry, 'kind' | 'shardName'>): Entry {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    const entry: Entry = { ...place, offered: undefined, fallback: undefined, quarantine: undefined };
    this.#entries.set(name, entry);
    return entry;
  }

  /** What becomes of a new or changed entry of the document. */
  #consider(entry: Entry, shard: Shard, revision: number): void {
    const candidate = this.#encode(entry, shard, revision);
    if (!('cluster' in candidate)) {
      this.#keepBack(entry, { shard, revision, ...candidate });
      return;
    }
    const { offered, quarantine } = entry;
    if (quarantine?.refused !== undefined && isSame(quarantine.refused, candidate)) return;
    if (offered !== undefined && isSame(offered, candidate)) {
      this.#settle(entry, undefined);
      return;
    }
    const known = this.#knownRejection(candidate);
    if (known !== undefined) {
      this.#keepBack(entry, { shard, revision, refused: candidate, ...known });
      return;
    }
    entry.fallback = this.#bestKnown(entry);
    entry.offered = candidate;
    this.#settle(entry, undefined);
  }

  #encode({ kind, shardName }: Entry, shard: Shard, revision: number): Offer | { readonly error: string } {
    const { encode, translateCluster, translateEndpoints } = this.#options;
    try {
      const cluster = encode('cluster', translateCluster(kind, shardName, shard));
      const assignment = translateEndpoints(kind, shardName, shard);
      const endpoints = assignment === undefined ? undefined : encode('endpoint', assignment);
      return { shard, revision, cluster, endpoints, isProven: false };
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }

  #keepBack(
    entry: Entry,
    refusal: {
      readonly shard: Shard;
      readonly revision: number;
      readonly error: string;
      readonly refused?: Offer;
      readonly type?: 'cluster' | 'endpoint';
      readonly node?: string | undefined;
    },
  ): void {
    const { kind, shardName, quarantine } = entry;
    const { refused, type, node, ...rest } = refusal;
    const record = quarantineRecord({
      ...{ ...rest, kind, shardName, type, node },
      ...{ good: entry.offered?.shard, atMs: this.#options.nowMs() },
    });
    // The same mistake once more is no news.
    const isKnown =
      refused === undefined && quarantine?.refused === undefined && quarantine?.record.error === record.error;
    if (!isKnown) this.#settle(entry, { record, refused });
  }

  #settle(entry: Entry, quarantine: Entry['quarantine']): void {
    if (entry.quarantine === undefined && quarantine === undefined) return;
    entry.quarantine = quarantine;
    this.#quarantined.delete(entry);
    if (quarantine !== undefined) this.#quarantined.add(entry);
    this.#quarantineChanges += 1;
  }

  /** What to go back to when the next value is rejected. */
  #bestKnown({ offered, fallback }: Entry): Offer | undefined {
    if (offered === undefined) return fallback;
    if (offered.isProven || this.#isHeld(offered)) return { ...offered, isProven: true };
    return fallback?.isProven === true ? fallback : offered;
  }

  #isHeld({ cluster, endpoints }: Offer): boolean {
    for (const session of this.#options.sessions) {
      if (session.holds('cluster', cluster) && (endpoints === undefined || session.holds('endpoint', endpoints))) {
        return true;
      }
    }
    return false;
  }

  /** By another Envoy, not by an earlier stream of the same one. */
  #isHeldElsewhere(session: AdsSession, type: 'cluster' | 'endpoint', resource: Pick<Resource, 'name' | 'version'>) {
    for (const other of this.#options.sessions) {
      if (other.node !== session.node && other.holds(type, resource)) return true;
    }
    return false;
  }

  #knownRejection({ cluster, endpoints }: Offer) {
    for (const session of this.#options.sessions) {
      const { node } = session;
      const ofCluster = session.rejectionOf('cluster', cluster);
      if (ofCluster !== undefined) return { type: 'cluster', error: ofCluster, node } as const;
      const ofEndpoints = endpoints === undefined ? undefined : session.rejectionOf('endpoint', endpoints);
      if (ofEndpoints !== undefined) return { type: 'endpoint', error: ofEndpoints, node } as const;
    }
    return undefined;
  }

  /** Makes the tables say what is offered. */
  #place(name: string, offered: Offer | undefined): { readonly cluster: boolean; readonly endpoints: boolean } {
    const { clusters, endpoints } = this.#options;
    // Its endpoints stay: an Envoy that still holds the cluster, and warms it, must get them.
    if (offered === undefined) return { cluster: clusters.remove(name), endpoints: false };
    const cluster = clusters.put(offered.cluster);
    if (offered.endpoints !== undefined) return { cluster, endpoints: endpoints.put(offered.endpoints) };
    // Nobody is told: endpoints go with their cluster.
    endpoints.remove(name);
    return { cluster, endpoints: false };
  }
}

const resourceOf = (offer: Offer | undefined, type: 'cluster' | 'endpoint'): Resource | undefined =>
  type === 'cluster' ? offer?.cluster : offer?.endpoints;

const isSame = (left: Offer, right: Offer): boolean =>
  left.cluster.version === right.cluster.version && left.endpoints?.version === right.endpoints?.version;
