import type { EnvoyState } from '#ports/replica-board.ts';
import { NO_STAMP, type Resource, stampOfVersion } from '../snapshot/resource.ts';
import { type ResourceType, resourceTypeOf, TYPE_URL, TYPES_IN_ORDER } from '../snapshot/resource-types.ts';
import type { DeltaRequest } from './delta-request.ts';
import { encodeDeltaResponse } from './delta-response.ts';
import { Rejections } from './rejections.ts';
import type { SessionContext, SessionPort } from './session-context.ts';
import { Subscription } from './subscription.ts';
import type { Delta, NameStatus, Reception } from './subscription-terms.ts';
import { WarmClusters } from './warm-clusters.ts';

/**
 * One Envoy on one delta ADS stream, apart from the socket. It decides what that Envoy is told and when:
 *
 * - types in order, differences made at the moment of sending, nothing while the client does not read;
 * - a new stamp only when every cluster there is has been acknowledged by this Envoy (by name, through its endpoints),
 *   one stamp at a time, never an older one than the Envoy has;
 * - removed clusters only when the Envoy has routed by a revision without them for a while (`settle`);
 * - nothing to an Envoy that comes back until it said by which revision it routes: this replica may be behind.
 */
export class AdsSession {
  readonly #context: SessionContext;
  readonly #port: SessionPort;
  readonly #subscriptions: Readonly<Record<ResourceType, Subscription>>;
  readonly #connectedAtMs: number;
  readonly #newestAtStart: number;
  readonly #warmth: WarmClusters;
  readonly #rejections = new Rejections();
  #node: string | undefined;
  #route: Resource | undefined;
  #settledStamp = NO_STAMP;
  #nonces = 0;
  #isWritable = true;
  #isOpen = true;
  /** It came back with clusters, and has not yet said by which revision it routes. */
  #isAskedForStamp = false;
  #hasToldStamp = false;
  #hasAskedForClusters = false;

  constructor(context: SessionContext, port: SessionPort) {
    this.#context = context;
    this.#port = port;
    this.#connectedAtMs = context.nowMs();
    this.#newestAtStart = context.newestRevision();
    const nextNonce = () => String(++this.#nonces);
    const { nowMs } = context;
    const byWildcard = { nextNonce, nowMs, isWildcardByDefault: true };
    const byName = { nextNonce, nowMs, isWildcardByDefault: false };
    const route = { get: (name: string) => (name === context.routeName ? this.#route : undefined), names: () => [] };
    this.#subscriptions = {
      cluster: new Subscription({ view: context.clusters, mayRemove: (name) => this.#mayRemove(name), ...byWildcard }),
      // Endpoints go with their cluster: Envoy unsubscribes them itself.
      endpoint: new Subscription({ view: context.endpoints, mayRemove: () => false, ...byName }),
      listener: new Subscription({ view: context.listeners, mayRemove: () => true, ...byWildcard }),
      secret: new Subscription({ view: context.secrets, mayRemove: () => false, ...byName }),
      route: new Subscription({
        view: route,
        mayRemove: () => false,
        isReady: (name) => name !== context.routeName || this.#route !== undefined,
        ...byName,
      }),
    };
    this.#warmth = new WarmClusters(context.clusters.names());
  }

  /** Undefined before the first request. */
  get node(): string | undefined {
    return this.#node;
  }

  /** The newest stamp this Envoy said to route by, `NO_STAMP` for none. */
  get ackedStamp(): number {
    return stampOfVersion(this.#subscriptions.route.ackedVersion(this.#context.routeName));
  }

  /** The stamp in the newest route configuration meant for this Envoy, `NO_STAMP` before the first. */
  get stamp(): number {
    return Math.max(stampOfVersion(this.#route?.version), this.ackedStamp);
  }

  /** Whether the next stamp could be sent now. */
  get isReadyForStamp(): boolean {
    return this.#isOpen && this.#warmth.isComplete && !this.#subscriptions.route.isAwaiting;
  }

  receive(request: DeltaRequest): void {
    if (!this.#isOpen) return;
    if (this.#node === undefined) {
      if (request.nodeId === undefined || request.nodeId === '') {
        this.#refuse('the first request must name its node');
        return;
      }
      this.#node = request.nodeId;
    }
    const type = resourceTypeOf(request.typeUrl);
    if (type === undefined) {
      this.#port.onChange({ kind: 'unknown_type', typeUrl: request.typeUrl });
      return;
    }
    // One that comes back says what it holds, or begins with another type while its clusters warm.
    const isComingBack = type !== 'cluster' && !this.#hasAskedForClusters;
    if (isComingBack || Object.keys(request.initialVersions).length > 0) this.#isAskedForStamp = true;
    if (type === 'cluster') this.#hasAskedForClusters = true;
    if (type === 'route') this.#hasToldStamp = true;
    const before = this.ackedStamp;
    const reception = this.#subscriptions[type].receive(request);
    if (this.ackedStamp > this.#context.newestRevision()) {
      this.#refuse(`this replica is at revision ${this.#context.newestRevision()}, behind what the Envoy has`);
      return;
    }
    if (type === 'endpoint') this.#answerWarming(request.subscribe);
    // Meant for it before it said that it has a newer one.
    if (this.ackedStamp > stampOfVersion(this.#route?.version)) this.#route = undefined;
    this.#learn(type, reception, request.initialVersions);
    this.#pump();
    if (this.ackedStamp !== before) this.#port.onChange({ kind: 'stamp_acked', stamp: this.ackedStamp });
    else this.#port.onChange({ kind: 'known' });
  }

  /** Resources changed in their tables. */
  changed(type: Exclude<ResourceType, 'route'>, names: readonly string[]): void {
    if (type === 'cluster' || type === 'endpoint') {
      for (const name of names) {
        if (this.#context.clusters.get(name) === undefined || this.#hasRejected(name)) this.#warmth.giveUp(name);
        // It brought this one from a replica that was ahead: it is not sent, and so never acknowledged.
        else if (this.#isWarm('cluster', name)) this.#warmth.arrived(name);
        else this.#warmth.expect(name);
      }
    }
    this.#subscriptions[type].changed(names);
    this.#forgive(type, names);
    this.#pump();
  }

  /** What this Envoy said against a version; undefined when it has not rejected it on this stream. */
  rejectionOf(type: 'cluster' | 'endpoint', { name, version }: Pick<Resource, 'name' | 'version'>): string | undefined {
    return this.#subscriptions[type].rejectionOf(name, version);
  }

  /** Whether this Envoy said to hold exactly this version. */
  holds(type: 'cluster' | 'endpoint', { name, version }: Pick<Resource, 'name' | 'version'>): boolean {
    return this.#subscriptions[type].ackedVersion(name) === version;
  }

  /**
   * Routes this Envoy by `route` from now on; ignored when it has that one already, when it is older than what the
   * Envoy has, and while the Envoy is not ready for it.
   */
  routeBy(route: Resource): void {
    if (route === this.#route || !this.isReadyForStamp || stampOfVersion(route.version) < this.stamp) return;
    this.#route = route;
    this.#subscriptions.route.changed([this.#context.routeName]);
    this.#pump();
  }

  /** The Envoy has routed by this stamp for the grace time: clusters that it does without may go. */
  settle(stamp: number): void {
    if (stamp <= this.#settledStamp) return;
    this.#settledStamp = stamp;
    this.#pump();
  }

  /** It has had time enough to say by which revision it routes. */
  waitNoLonger(): void {
    this.#hasToldStamp = true;
    this.#pump();
  }

  /** The client reads again. */
  drained(): void {
    this.#isWritable = true;
    this.#pump();
  }

  close(): void {
    this.#isOpen = false;
  }

  /** For the status page; undefined before the Envoy said who it is. */
  state(): EnvoyState | undefined {
    if (this.#node === undefined) return undefined;
    return {
      node: this.#node,
      stamp: Math.max(0, this.stamp),
      acked: Math.max(0, this.ackedStamp),
      connectedAt: new Date(this.#connectedAtMs).toISOString(),
      rejected: this.#rejections.list,
    };
  }

  /** Every name of a type that this Envoy holds, is to have or has asked for. */
  knownNames(type: ResourceType): ReadonlySet<string> {
    return this.#subscriptions[type].knownNames();
  }

  /** Where one name stands with this Envoy; a rejection of it that nothing has made up for counts. */
  statusOf(type: ResourceType, name: string): NameStatus {
    const status = this.#subscriptions[type].statusOf(name);
    if (status.rejection !== undefined) return status;
    const open = this.#rejections.list.findLast((each) => each.type === TYPE_URL[type] && each.names.includes(name));
    return open === undefined ? status : { ...status, rejection: { error: open.error, atMs: Date.parse(open.at) } };
  }

  /** Whether this Envoy rejected the cluster or the endpoints that there are now. */
  #hasRejected(name: string): boolean {
    const cluster = this.#context.clusters.get(name);
    const endpoints = this.#context.endpoints.get(name);
    if (cluster !== undefined && this.rejectionOf('cluster', cluster) !== undefined) return true;
    return endpoints !== undefined && this.rejectionOf('endpoint', endpoints) !== undefined;
  }

  #mayRemove(cluster: string): boolean {
    // One never offered here came with the Envoy: all that is known is that the newest revision of then lacks it.
    return this.#settledStamp >= (this.#context.retiredAt(cluster) ?? this.#newestAtStart);
  }

  /** What an answer tells of warm clusters and of rejections. */
  #learn(type: ResourceType, reception: Reception, initialVersions: Readonly<Record<string, string>>): void {
    if (type === 'cluster' || type === 'endpoint') {
      const held = reception.kind === 'ack' ? reception.names : Object.keys(initialVersions);
      for (const name of held) if (this.#isWarm(type, name)) this.#warmth.arrived(name);
    }
    if (reception.kind === 'ack') this.#forgive(type, reception.names);
    if (reception.kind === 'nack') this.#remember(type, reception);
  }

  /** Whether what was just acknowledged of a type says that a cluster is warm. Removals are acknowledged too. */
  #isWarm(type: 'cluster' | 'endpoint', name: string): boolean {
    const { cluster, endpoint } = this.#subscriptions;
    const { clusters, endpoints } = this.#context;
    if (type === 'endpoint') return endpoint.ackedVersion(name) !== undefined;
    // One of DNS names is acknowledged when it is resolved; an earlier value may have waited in vain for endpoints.
    return clusters.get(name) !== undefined && endpoints.get(name) === undefined && cluster.isUpToDate(name);
  }

  #remember(type: ResourceType, rejection: Extract<Reception, { kind: 'nack' }>): void {
    const { names, error, culprit, version } = rejection;
    const event = { kind: 'rejected', type, names, error } as const;
    if (culprit === undefined || version === undefined) {
      this.#port.onChange(event);
      return;
    }
    const at = new Date(this.#context.nowMs()).toISOString();
    this.#rejections.add({ type: TYPE_URL[type], names: [culprit], error, at });
    this.#port.onChange({ ...event, culprit: { name: culprit, version } });
    // Nothing took its place: a stamp that waited for it would wait for ever.
    if (this.#hasRejected(culprit)) this.#warmth.giveUp(culprit);
  }

  /** The last good version, sent again after a rejection, does not undo it; what exists no longer is no problem. */
  #forgive(type: ResourceType, names: readonly string[]): void {
    const open = new Set(names.filter((name) => !this.#context.isQuarantined(name)));
    this.#rejections.settle((typeUrl, name) => {
      if (!open.has(name)) return false;
      if (type === 'cluster' && this.#context.clusters.get(name) === undefined) return true;
      return typeUrl === TYPE_URL[type] && this.#subscriptions[type].isUpToDate(name);
    });
  }

  /** Whoever does not ask for clusters first has one that warms: it waits for endpoints though it has the same. */
  #answerWarming(names: readonly string[]): void {
    const { cluster, endpoint } = this.#subscriptions;
    if (!cluster.hasBegun) for (const name of names) endpoint.resend(name);
  }

  /** A changed cluster warms anew and wants its endpoints again, though they are the same. */
  #followClusters({ resources, removed }: Delta): void {
    for (const { name } of resources) this.#subscriptions.endpoint.resend(name);
    for (const name of removed) this.#warmth.removed(name);
  }

  #refuse(reason: string): void {
    this.close();
    this.#port.refuse(reason);
  }

  #pump(): void {
    if (this.#isAskedForStamp && !this.#hasToldStamp) return;
    for (const type of TYPES_IN_ORDER) {
      for (;;) {
        if (!this.#isOpen || !this.#isWritable) return;
        const delta = this.#subscriptions[type].next();
        if (delta === undefined) break;
        if (type === 'cluster') this.#followClusters(delta);
        this.#isWritable = this.#port.send(encodeDeltaResponse({ typeUrl: TYPE_URL[type], ...delta }));
        if (type === 'route') this.#port.onChange({ kind: 'stamp_sent', stamp: this.stamp });
      }
    }
  }
}
