import { LIMITS } from '#domain/limits.ts';
import type { DeltaRequest } from '../../../xds/ads/delta-request.ts';
import type { AdsSession } from '../../../xds/ads/session.ts';
import type { ControlPlane } from '../../../xds/control-plane.ts';
import { stampOfVersion } from '../../../xds/snapshot/resource.ts';
import { type ResourceType, resourceTypeOf, TYPES_IN_ORDER } from '../../../xds/snapshot/resource-types.ts';
import { isByEds } from './history.ts';
import { readResponse, type WireResponse } from './wire.ts';
import { Channel, type World } from './world.ts';

/** A planted bug: what a wrong server would do at its edge with the world. */
export interface Sabotage {
  readonly request?: (request: DeltaRequest, stream: Stream) => DeltaRequest;
  readonly opened?: (session: AdsSession, stream: Stream) => void;
}

/** The Envoy's end of a stream. */
export interface Client {
  readonly name: string;
  readonly reads: (response: WireResponse) => void;
  readonly ended: (stream: Stream) => void;
  /** When it reads again; the past when it does now. */
  readonly readsAtMs: () => number;
}

/** What was said of one type on a stream, seen from outside of the server. */
interface TypeWatch {
  isWildcard: boolean;
  hasBegun: boolean;
  readonly names: Set<string>;
  readonly unanswered: Map<string, WireResponse>;
  readonly rejected: Set<string>;
  lastNonce: string;
}

/** Unread responses from which on the server is told to wait, as a stream's buffer does. */
const BUFFERED_MAX_COUNT = 16;

/**
 * One stream between the real session and a modelled Envoy. It checks what the server says: only what is subscribed,
 * types in order, nothing twice that was rejected, no stamp before its clusters are acknowledged.
 */
export class Stream {
  readonly #world: World;
  readonly #client: Client;
  readonly #plane: ControlPlane;
  readonly #replica: string;
  readonly #session: AdsSession;
  readonly #siblings: Set<Stream>;
  readonly #sabotage: Sabotage;
  readonly #toClient: Channel<WireResponse>;
  readonly #toServer: Channel<DeltaRequest>;
  readonly #types: Record<ResourceType, TypeWatch> = {
    cluster: newWatch(),
    endpoint: newWatch(),
    listener: newWatch(),
    route: newWatch(),
    secret: newWatch(),
  };
  /** Clusters that the client has acknowledged to hold warm, by what the server has read. */
  readonly #warm = new Set<string>();
  /** Nonce of the last response that took a cluster away: an older acknowledgement says nothing of a new one. */
  readonly #removedBy = new Map<string, number>();
  #isServed = true;
  #said = 0;
  /** It named no clusters: nothing tells such an Envoy from a new one before it names its routes. */
  #cameEmpty = false;
  #unread = 0;
  #isFull = false;
  #lastTurn = -1;
  #lastType = -1;

  constructor(options: {
    readonly world: World;
    readonly client: Client;
    readonly plane: ControlPlane;
    readonly replica: string;
    readonly siblings: Set<Stream>;
    readonly sabotage: Sabotage;
  }) {
    this.#world = options.world;
    this.#client = options.client;
    this.#plane = options.plane;
    this.#replica = options.replica;
    this.#siblings = options.siblings;
    this.#sabotage = options.sabotage;
    this.#toClient = new Channel(this.#world, (response) => this.#arrive(response));
    this.#toServer = new Channel(this.#world, (request) => this.#receive(request));
    this.#siblings.add(this);
    this.#session = this.#plane.open({ send: (bytes) => this.#send(bytes), refuse: (reason) => this.#refuse(reason) });
    this.#sabotage.opened?.(this.#session, this);
  }

  get session(): AdsSession {
    return this.#session;
  }

  lastNonce(type: ResourceType): string {
    return this.#types[type].lastNonce;
  }

  unanswered(type: ResourceType): ReadonlyMap<string, WireResponse> {
    return this.#types[type].unanswered;
  }

  /** The client speaks. */
  request(request: DeltaRequest): void {
    this.#toServer.send(request);
  }

  /** The client breaks off; the server hears of it later. */
  cutByClient(noticedAfterMs: number): void {
    this.#toClient.close();
    this.#toServer.close();
    this.#world.scheduler.after(noticedAfterMs, () => this.#endAtServer());
  }

  /** The process of the server is gone; the client hears of it later. */
  cutByServer(): void {
    this.#isServed = false;
    this.#siblings.delete(this);
    this.#toClient.close();
    this.#toServer.close();
    this.#world.scheduler.after(this.#world.delayMs(), () => this.#client.ended(this));
  }

  #refuse(reason: string): void {
    this.#world.trace(() => `${this.#replica} refuses ${this.#client.name}: ${reason}`);
    // Whatever it said before it noticed is of an older state than the client has.
    this.#world.check(
      this.#said === 0 || this.#cameEmpty,
      () => `${this.#replica} refuses ${this.#client.name} after it told it something`,
    );
    this.#endAtServer();
    this.cutByServer();
  }

  #endAtServer(): void {
    if (!this.#isServed) return;
    this.#isServed = false;
    this.#siblings.delete(this);
    this.#plane.close(this.#session);
  }

  #receive(original: DeltaRequest): void {
    const type = resourceTypeOf(original.typeUrl);
    if (type === undefined) throw new Error(`an unknown type ${original.typeUrl}`);
    this.#watchRequest(type, original);
    this.#session.receive(this.#sabotage.request?.(original, this) ?? original);
  }

  #watchRequest(type: ResourceType, request: DeltaRequest): void {
    const watch = this.#types[type];
    if (!watch.hasBegun) {
      watch.hasBegun = true;
      if (type === 'cluster') this.#cameEmpty = Object.keys(request.initialVersions).length === 0;
      watch.isWildcard = type === 'cluster' || type === 'listener';
      for (const [name, version] of Object.entries(request.initialVersions)) {
        if (type === 'endpoint' || (type === 'cluster' && !isByEds(version))) this.#warm.add(name);
      }
    }
    for (const name of request.subscribe) watch.names.add(name);
    for (const name of request.unsubscribe) watch.names.delete(name);
    const answered = watch.unanswered.get(request.nonce);
    if (answered === undefined) return;
    watch.unanswered.delete(request.nonce);
    const [only, second] = answered.resources;
    if (request.error !== undefined && only !== undefined && second === undefined) {
      watch.rejected.add(`${only.name} ${only.version}`);
    }
    if (request.error !== undefined) return;
    for (const { name, version } of answered.resources) {
      const isFresh = Number(answered.nonce) > (this.#removedBy.get(name) ?? 0);
      const saysWarm = type === 'endpoint' || (type === 'cluster' && !isByEds(version));
      if (isFresh && saysWarm) this.#warm.add(name);
    }
  }

  #send(bytes: Buffer): boolean {
    const response = readResponse(bytes);
    this.#world.check(this.#isServed, () => `${this.#replica} writes to ${this.#client.name} after the end`);
    this.#world.trace(() => `${this.#replica} -> ${this.#client.name}: ${describe(response)}`);
    this.#watchOrder(response);
    this.#watchResponse(response);
    if (response.type === 'route') this.#watchStamp(response);
    this.#said += response.resources.length + response.removed.length;
    this.#world.saidAtMs = this.#world.nowMs;
    this.#unread += 1;
    this.#isFull = this.#unread >= BUFFERED_MAX_COUNT || this.#client.readsAtMs() > this.#world.nowMs;
    this.#toClient.send(response, this.#client.readsAtMs());
    return !this.#isFull;
  }

  #watchOrder({ type }: WireResponse): void {
    const { turn } = this.#world.scheduler;
    const order = TYPES_IN_ORDER.indexOf(type);
    this.#world.check(
      turn !== this.#lastTurn || order >= this.#lastType,
      () => `${this.#replica} tells ${this.#client.name} of ${type} after a later type`,
    );
    this.#lastTurn = turn;
    this.#lastType = order;
  }

  #watchResponse(response: WireResponse): void {
    const { type, nonce, resources, removed } = response;
    const watch = this.#types[type];
    const to = `${this.#replica} -> ${this.#client.name}`;
    const names = new Set([...resources.map(({ name }) => name), ...removed]);
    const isEachOnce = names.size === resources.length + removed.length;
    this.#world.check(isEachOnce, () => `${to}: ${type} names something twice`);
    for (const name of names) {
      const isWanted = watch.isWildcard || watch.names.has(name);
      this.#world.check(watch.hasBegun && isWanted, () => `${to}: ${type} ${name} is not subscribed`);
    }
    for (const { name, version } of resources) {
      const isRejected = watch.rejected.has(`${name} ${version}`);
      this.#world.check(!isRejected, () => `${to}: ${type} ${name} again in a version that was rejected`);
    }
    if (type === 'cluster') {
      for (const name of removed) {
        this.#warm.delete(name);
        this.#removedBy.set(name, Number(nonce));
      }
    }
    watch.unanswered.set(nonce, response);
    watch.lastNonce = nonce;
    this.#world.check(
      watch.unanswered.size <= LIMITS.xdsResponsesInFlightMaxCount,
      () => `${to}: ${watch.unanswered.size} responses of ${type} are unanswered`,
    );
  }

  #watchStamp({ resources }: WireResponse): void {
    for (const { version } of resources) {
      const stamp = stampOfVersion(version);
      for (const name of this.#world.history.at(stamp).clusters.keys()) {
        this.#world.check(
          // A shard that somebody refuses is kept back and not waited for; all others are.
          this.#warm.has(name) || this.#world.history.isSpoilt(name, stamp),
          () => `${this.#replica} stamps ${this.#client.name} with ${stamp}, and ${name} is not acknowledged`,
        );
      }
    }
  }

  #arrive(response: WireResponse): void {
    this.#unread -= 1;
    if (this.#isFull && this.#unread === 0) {
      this.#isFull = false;
      this.#world.scheduler.after(this.#world.delayMs(), () => {
        if (this.#isServed) this.#session.drained();
      });
    }
    this.#client.reads(response);
  }
}

const newWatch = (): TypeWatch => ({
  isWildcard: false,
  hasBegun: false,
  names: new Set(),
  unanswered: new Map(),
  rejected: new Set(),
  lastNonce: '',
});

const describe = ({ type, nonce, resources, removed }: WireResponse): string =>
  [
    `${type} #${nonce}`,
    ...resources.map(({ name, version }) => `+${name}(${version.trim()})`),
    ...removed.map((name) => `-${name}`),
  ].join(' ');
