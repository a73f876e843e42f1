import type { JsonValue } from '@bufbuild/protobuf';
import type { ServiceKind } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import type { RoutingSnapshot, Shard } from '#domain/routing/types.ts';
import type { EnvoyState, QuarantinedShard } from '#ports/replica-board.ts';
import { AdsSession } from './ads/session.ts';
import type { SessionContext, SessionPort } from './ads/session-context.ts';
import type { SessionEvent } from './ads/session-event.ts';
import { type OfferChanges, ShardOffers } from './shard-offers.ts';
import { NO_STAMP, type Resource } from './snapshot/resource.ts';
import { ResourceTable } from './snapshot/resource-table.ts';
import type { ResourceType } from './snapshot/resource-types.ts';

/** A resource before it is encoded: its name and Envoy's JSON of it. */
export interface NamedJson {
  readonly name: string;
  readonly json: JsonValue;
}

export interface ControlPlaneOptions {
  readonly translateCluster: (kind: ServiceKind, shardName: string, shard: Shard) => NamedJson;
  /** Undefined for a cluster whose addresses Envoy resolves itself. */
  readonly translateEndpoints: (kind: ServiceKind, shardName: string, shard: Shard) => NamedJson | undefined;
  /** The route configuration that tells Envoy to route by a revision. */
  readonly encodeRoutes: (stamp: number) => Resource;
  /** Checks and encodes; throws when the resource is not valid: a bug, or an entry that the parser should not let through. */
  readonly encode: (type: ResourceType, resource: NamedJson, versionPrefix?: string) => Resource;
  readonly routeName: string;
  readonly listeners: readonly NamedJson[];
  readonly nowMs: () => number;
  readonly schedule: (delayMs: number, task: () => void) => void;
  /** Something an operator or another replica should hear of has changed. */
  readonly onEnvoysChanged: () => void;
  readonly onEvent: (session: AdsSession, event: SessionEvent) => void;
  /** Some shard is kept back, or no longer; called after the first revision too. */
  readonly onQuarantineChanged?: (quarantined: readonly QuarantinedShard[]) => void;
}

/** Revisions that wait for the authz replicas; beyond that the oldest are no stamps any more. */
const LOADED_MAX_COUNT = 1_000;

interface DepartedNode {
  readonly ackedStamp: number;
  readonly untilMs: number;
}

/**
 * What Envoys are told, from routing revisions and the word of the authz replicas (design section 3.7). A revision's
 * clusters are offered at once; Envoys are stamped with it when every live authz replica holds it; clusters that no
 * stamp in force needs go last. A shard that cannot be encoded or that Envoys reject is kept back alone (ShardOffers);
 * nobody waits for it. One change costs what it changes, times the connected Envoys.
 */
export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #tables = {
    cluster: new ResourceTable(),
    endpoint: new ResourceTable(),
    listener: new ResourceTable(),
    secret: new ResourceTable(),
  };
  readonly #sessions = new Set<AdsSession>();
  readonly #settling = new WeakSet<AdsSession>();
  readonly #departed = new Map<string, DepartedNode>();
  /** Clusters that a revision dropped and that are still offered, and the revision that dropped them. */
  readonly #retiring = new Map<string, number>();
  /** The same for clusters offered no longer: Envoys that hold them may lose them after that revision. */
  readonly #retired = new Map<string, number>();
  readonly #context: SessionContext;
  readonly #offers: ShardOffers;
  #toldQuarantine: number | undefined;
  #newest = NO_STAMP;
  /** The revisions loaded that Envoys may still be stamped with, in order. */
  #loaded: readonly number[] = [];
  #confirmed: number | undefined;
  #route: Resource | undefined;
  #routeStamp = NO_STAMP;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { cluster: clusters, endpoint: endpoints } = this.#tables;
    this.#offers = new ShardOffers({ ...options, clusters, endpoints, sessions: this.#sessions });
    for (const listener of options.listeners) this.#tables.listener.put(options.encode('listener', listener));
    this.#context = {
      clusters,
      endpoints,
      listeners: this.#tables.listener,
      secrets: this.#tables.secret,
      routeName: options.routeName,
      newestRevision: () => this.#newest,
      retiredAt: (name) => this.#retiredAt(name),
      isQuarantined: (name) => this.#offers.isQuarantined(name),
      nowMs: options.nowMs,
    };
  }

  /** Whether a complete revision has been loaded: before that, streams are refused instead of told "nothing". */
  get isReady(): boolean {
    return this.#newest > NO_STAMP;
  }

  /** 0 before the first. */
  get newestRevision(): number {
    return Math.max(0, this.#newest);
  }

  /**
   * The revision that Envoys may be stamped with now, `NO_STAMP` while there is none: only one that was loaded here,
   * because clusters of one that was jumped over were never offered.
   */
  get stampTarget(): number {
    const confirmed = this.#confirmed ?? this.#newest;
    const loaded = this.#loaded.findLast((revision) => revision <= confirmed);
    return Math.max(this.#routeStamp, loaded ?? NO_STAMP);
  }

  /** The shards that Envoys do not get as the document has them. */
  quarantined(): readonly QuarantinedShard[] {
    return this.#offers.quarantined();
  }

  /** A newer routing revision. A shard of it that cannot be encoded is quarantined; all else is served. */
  applyRevision(snapshot: Pick<RoutingSnapshot, 'revision' | 'shards'>): void {
    const changes = this.#offers.apply(snapshot);
    for (const name of changes.present) {
      this.#retiring.delete(name);
      this.#retired.delete(name);
    }
    for (const name of changes.dropped) this.#retiring.set(name, snapshot.revision);
    this.#newest = snapshot.revision;
    const open = this.#loaded.filter((revision) => revision >= this.#routeStamp);
    this.#loaded = [...open, snapshot.revision].slice(-LOADED_MAX_COUNT);
    this.#tellOffers(changes);
    this.advance();
  }

  /** The oldest revision among the newest of all live authz replicas; undefined while none is heard of. */
  confirm(revision: number | undefined): void {
    this.#confirmed = revision;
    this.advance();
  }

  putSecret(secret: NamedJson): void {
    if (this.#tables.secret.put(this.#options.encode('secret', secret))) this.#tell('secret', [secret.name]);
  }

  /** A new stream. Ask `isReady` before. */
  open(port: Omit<SessionPort, 'onChange'>): AdsSession {
    const session: AdsSession = new AdsSession(this.#context, {
      ...port,
      onChange: (event) => this.#onSessionEvent(session, event),
    });
    this.#sessions.add(session);
    this.#options.schedule(LIMITS.xdsReconnectSettleMs, () => session.waitNoLonger());
    return session;
  }

  close(session: AdsSession): void {
    session.close();
    if (!this.#sessions.delete(session)) return;
    if (session.node !== undefined && session.ackedStamp > NO_STAMP) {
      const untilMs = this.#options.nowMs() + LIMITS.nodeForgetAfterMs;
      this.#departed.set(session.node, { ackedStamp: session.ackedStamp, untilMs });
      this.#options.schedule(LIMITS.nodeForgetAfterMs, () => this.#forgetDeparted());
    }
    this.#options.onEnvoysChanged();
  }

  /** The streams that are open now. */
  sessions(): Iterable<AdsSession> {
    return this.#sessions;
  }

  /** The Envoys connected now. */
  envoys(): readonly EnvoyState[] {
    return [...this.#sessions].flatMap((session) => session.state() ?? []);
  }

  /** The oldest stamp that some Envoy may route by; one that left counts for a while, because it may be back. */
  oldestStamp(): number | undefined {
    const stamps = [...this.#sessions].map((session) => session.ackedStamp).filter((stamp) => stamp > NO_STAMP);
    for (const departed of this.#departed.values()) stamps.push(departed.ackedStamp);
    return stamps.length === 0 ? undefined : Math.min(...stamps);
  }

  /** Sends the newest permitted stamp to whoever can take it, and stops offering clusters that it does without. */
  advance(): void {
    if (!this.isReady) return;
    const target = this.stampTarget;
    if (target === NO_STAMP) return;
    if (target > this.#routeStamp || this.#route === undefined) {
      this.#route = this.#options.encodeRoutes(target);
      this.#routeStamp = target;
    }
    const route = this.#route;
    // First, because an Envoy that never got such a cluster need not get it any more to be ready for the stamp.
    this.#stopOffering(target);
    for (const session of this.#sessions) session.routeBy(route);
  }

  #stopOffering(target: number): void {
    const names: string[] = [];
    for (const [name, revision] of this.#retiring) {
      if (revision > target) continue;
      this.#retiring.delete(name);
      this.#retired.set(name, revision);
      // What was forgotten counts as gone since the Envoy connected.
      for (const oldest of this.#retired.keys()) {
        if (this.#retired.size <= LIMITS.shardsPerKindMaxCount) break;
        this.#retired.delete(oldest);
        this.#tables.endpoint.remove(oldest);
      }
      this.#offers.forget(name);
      names.push(name);
    }
    if (names.length > 0) this.#tell('cluster', names);
  }

  /**
   * A shard that is kept back without a last good value is offered to nobody, but an Envoy that has an older one from
   * before a restart of this server goes on with it.
   */
  #retiredAt(name: string): number | undefined {
    if (this.#offers.isQuarantined(name) || this.#retiring.has(name)) return Number.POSITIVE_INFINITY;
    return this.#retired.get(name);
  }

  #tellOffers({ clusters, endpoints }: Pick<OfferChanges, 'clusters' | 'endpoints'>): void {
    this.#tell('cluster', clusters);
    this.#tell('endpoint', endpoints);
    if (this.#toldQuarantine === this.#offers.quarantineChanges) return;
    this.#toldQuarantine = this.#offers.quarantineChanges;
    this.#options.onQuarantineChanged?.(this.quarantined());
  }

  #tell(type: Exclude<ResourceType, 'route'>, names: readonly string[]): void {
    if (names.length === 0) return;
    for (const session of this.#sessions) session.changed(type, names);
  }

  #onSessionEvent(session: AdsSession, event: SessionEvent): void {
    if (event.kind !== 'known') this.#options.onEvent(session, event);
    if (event.kind === 'stamp_sent') return;
    const changes = event.kind === 'rejected' ? this.#offers.rejected(session, event) : undefined;
    if (changes !== undefined) {
      this.#tellOffers(changes);
      this.advance();
    }
    if (event.kind === 'stamp_acked') {
      if (session.node !== undefined) this.#departed.delete(session.node);
      this.#settleLater(session);
    }
    if (this.#route !== undefined) session.routeBy(this.#route);
    if (event.kind !== 'unknown_type') this.#options.onEnvoysChanged();
  }

  /** One timer per stream, however many stamps it acknowledges meanwhile. */
  #settleLater(session: AdsSession): void {
    if (this.#settling.has(session)) return;
    this.#settling.add(session);
    const stamp = session.ackedStamp;
    this.#options.schedule(LIMITS.clusterRemovalGraceMs, () => {
      this.#settling.delete(session);
      session.settle(stamp);
      if (session.ackedStamp > stamp && this.#sessions.has(session)) this.#settleLater(session);
    });
  }

  #forgetDeparted(): void {
    const nowMs = this.#options.nowMs();
    for (const [node, { untilMs }] of this.#departed) if (untilMs <= nowMs) this.#departed.delete(node);
    this.#options.onEnvoysChanged();
  }
}
