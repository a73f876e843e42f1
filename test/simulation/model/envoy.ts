import { isByEds, isRefused } from './history.ts';
import { Subscriptions } from './subscriptions.ts';
import type { WireResponse } from './wire.ts';
import type { World } from './world.ts';

/** Envoy's bound for the first endpoints of a cluster that warms. */
const FETCH_TIMEOUT_MS = 15_000;
/** What an Envoy may still route by a stamp that it has replaced: requests that are held by authz. */
const PINNED_MS = 2_500;
const NO_STAMP = -1;
const TYPES_APART = ['cluster', 'endpoint'] as const;

interface Active {
  readonly version: string;
  /** Undefined where the addresses are resolved; '' for none. */
  readonly endpoints: string | undefined;
}

/**
 * What an Envoy of 1.40 does with its resources: warming, the fetch timeout, what a rejection leaves applied, and the
 * stamp that it routes by. The protocol of the stream is in `Subscriptions`.
 */
export class EnvoyState {
  readonly #world: World;
  readonly #name: string;
  readonly #number: number;
  readonly #refusedStamps: ReadonlySet<number>;
  readonly active = new Map<string, Active>();
  readonly warming = new Map<string, string>();
  /** Clusters whose newest endpoints this Envoy refused: requests to them may fail, that is what the refusal says. */
  readonly culprits = new Set<string>();
  /**
   * Names of which a server cannot know what is applied: it came in a rejected response, whose versions do not count,
   * and the stream on which that could be told apart is gone.
   */
  readonly #untold = new Set<string>();
  /** The same while the stream is still there. */
  readonly #loose = new Set<string>();
  /** Clusters that waited for their endpoints until the bound. */
  timeouts = 0;
  /** What the protocol keeps: names wanted, versions held. */
  readonly subscriptions: Subscriptions;
  readonly #replaced: { readonly stamp: number; readonly untilMs: number }[] = [];
  /** Which attempt to warm a cluster the fetch timeout is of. */
  readonly #attemptOf = new Map<string, number>();
  #attempts = 0;
  #stamp = NO_STAMP;
  #hasListener = false;
  #secret = '';

  constructor(options: {
    readonly world: World;
    readonly name: string;
    readonly number: number;
    readonly refusedStamps: ReadonlySet<number>;
    readonly flush: () => void;
  }) {
    this.#world = options.world;
    this.#name = options.name;
    this.#number = options.number;
    this.#refusedStamps = options.refusedStamps;
    this.subscriptions = new Subscriptions({ isPaused: () => this.warming.size > 0, flush: options.flush });
    this.subscriptions.begin('cluster');
  }

  /** The revision this Envoy routes by; -1 while it does not listen. */
  get stamp(): number {
    return this.#hasListener && this.#secret !== '' ? this.#stamp : NO_STAMP;
  }

  /** Whether there is any such; a server may wait for it in vain then, and so never stamp this Envoy again. */
  get hasUntold(): boolean {
    return this.#untold.size > 0;
  }

  /** Whether the state of a cluster is one that no server can know of. */
  isUntold(cluster: string): boolean {
    return TYPES_APART.some((type) => this.#untold.has(`${type} ${cluster}`));
  }

  /** Whether a request to this cluster gets through. */
  serves(cluster: string): boolean {
    const active = this.active.get(cluster);
    return active !== undefined && active.endpoints !== '';
  }

  /** A new stream to whatever replica. */
  reconnect(): void {
    for (const key of this.#loose) this.#untold.add(key);
    this.subscriptions.restart();
  }

  /** A request to a shard that some Envoy refuses may fail: the refusal is about that shard. */
  isExcused(cluster: string, stamp: number): boolean {
    return this.culprits.has(cluster) || this.#world.history.isSpoilt(cluster, stamp);
  }

  /** Applies a response and answers it. */
  read(response: WireResponse): void {
    const error = this.#apply(response);
    this.subscriptions.answer(response, error);
    this.#startListening();
    this.#checkStamp();
  }

  #apply(response: WireResponse): string | undefined {
    const { type, resources, removed } = response;
    const bad = resources.filter(({ version }) => isRefused(this.#number, version));
    const good = resources.filter((each) => !bad.includes(each));
    // Which of the valid ones are applied beside a bad one is not ours to rely on.
    const applied = bad.length === 0 ? good : good.filter(() => this.#world.random.chance(0.5));
    if (type === 'cluster' || type === 'endpoint') this.#keepAccount(response, applied, bad.length > 0);
    if (type === 'cluster') {
      for (const { name, version } of applied) this.#putCluster(name, version);
      for (const name of removed) this.#loseCluster(name);
    }
    if (type === 'endpoint') {
      for (const { name, version } of applied) this.#putEndpoints(name, version);
      for (const { name } of bad) this.#refuseEndpoints(name);
      for (const name of removed) this.#loseEndpoints(name);
    }
    if (type === 'listener' && applied.length > 0) {
      this.#hasListener = true;
      this.subscriptions.want('secret', 'edge');
      this.subscriptions.want('route', 'gateway');
    }
    if (type === 'secret') for (const { version } of applied) this.#secret = version;
    if (type === 'route') return this.#putRoutes(response);
    return bad.length === 0 ? undefined : bad.map(({ name }) => `cannot apply ${name}`).join();
  }

  #keepAccount({ type, removed }: WireResponse, applied: WireResponse['resources'], isRejected: boolean): void {
    for (const { name } of applied) {
      const key = `${type} ${name}`;
      if (isRejected) this.#loose.add(key);
      else for (const keys of [this.#loose, this.#untold]) keys.delete(key);
    }
    if (type !== 'cluster') return;
    for (const name of removed) {
      for (const keys of [this.#loose, this.#untold]) for (const of of TYPES_APART) keys.delete(`${of} ${name}`);
    }
  }

  #putCluster(name: string, version: string): void {
    const warming = this.warming.get(name);
    if ((warming ?? this.active.get(name)?.version) === version) return;
    this.warming.set(name, version);
    this.#attempts += 1;
    const attempt = this.#attempts;
    this.#attemptOf.set(name, attempt);
    if (isByEds(version)) {
      this.subscriptions.want('endpoint', name);
      this.#world.scheduler.after(FETCH_TIMEOUT_MS, () => {
        if (this.warming.has(name) && this.#attemptOf.get(name) === attempt) this.#timeOut(name);
      });
      return;
    }
    this.subscriptions.drop('endpoint', name);
    this.#world.scheduler.after(this.#world.delayMs(), () => {
      if (this.warming.has(name) && this.#attemptOf.get(name) === attempt) this.#activate(name, undefined);
    });
  }

  #timeOut(name: string): void {
    this.#world.trace(() => `${this.#name} waited in vain for the endpoints of ${name}`);
    this.#activate(name, this.active.get(name)?.endpoints ?? '');
    // Of endpoints that were refused there may be no good ones to send, and none at all of a cluster of names by now.
    if (!this.#world.history.isResolvedNow(name) && !this.isExcused(name, this.#stamp)) this.timeouts += 1;
  }

  #loseCluster(name: string): void {
    const pinned = this.#replaced.filter(({ untilMs }) => untilMs > this.#world.nowMs).map(({ stamp }) => stamp);
    for (const stamp of [this.stamp, ...pinned]) {
      if (stamp < 0) continue;
      const isNeeded = this.#world.history.at(stamp).clusters.has(name);
      this.#world.check(!isNeeded, () => `${this.#name} loses ${name}, and may still route by ${stamp}, which has it`);
    }
    this.active.delete(name);
    this.warming.delete(name);
    this.culprits.delete(name);
    this.subscriptions.drop('endpoint', name);
  }

  #putEndpoints(name: string, version: string): void {
    if (!this.subscriptions.wants('endpoint', name)) return;
    this.culprits.delete(name);
    const active = this.active.get(name);
    if (this.warming.has(name)) this.#activate(name, version);
    else if (active !== undefined && active.endpoints !== undefined)
      this.active.set(name, { ...active, endpoints: version });
  }

  /**
   * A cluster that warms is done with it, without endpoints. One that was changed to names while an Envoy warmed it and
   * was without a stream is such a case: the Envoy asks for endpoints first, and there are none. Nothing is to be had
   * from the shard until its cluster of names, asked for next, is resolved (docs/routing.md).
   */
  #loseEndpoints(name: string): void {
    if (!this.subscriptions.wants('endpoint', name) || !this.warming.has(name)) return;
    const active = this.active.get(name);
    const wasResolved = active !== undefined && active.endpoints === undefined;
    if (wasResolved || this.#world.history.isResolvedNow(name)) this.culprits.add(name);
    this.#activate(name, '');
  }

  /**
   * The same. It has none then, and names the version before as the one it holds: if its stream ends before it gets good
   * ones, no server can know.
   */
  #refuseEndpoints(name: string): void {
    if (!this.subscriptions.wants('endpoint', name)) return;
    this.culprits.add(name);
    if (!this.warming.has(name)) return;
    this.#loose.add(`endpoint ${name}`);
    this.#activate(name, '');
  }

  #activate(name: string, endpoints: string | undefined): void {
    const version = this.warming.get(name);
    if (version === undefined) return;
    this.warming.delete(name);
    this.active.set(name, { version, endpoints });
    if (endpoints === undefined) this.culprits.delete(name);
    this.#world.trace(() => `${this.#name} has ${name} warm`);
    if (this.warming.size === 0) this.subscriptions.flushSoon();
    this.#startListening();
  }

  /** Listeners are asked for when the first clusters are all warm. */
  #startListening(): void {
    if (this.warming.size === 0 && this.subscriptions.isAnswered('cluster')) this.subscriptions.begin('listener');
  }

  #putRoutes({ resources }: WireResponse): string | undefined {
    for (const { version } of resources) {
      const stamp = Number(version.slice(0, -1));
      if (this.#refusedStamps.has(stamp)) return 'cannot apply gateway';
      this.#world.check(stamp >= this.#stamp, () => `${this.#name} goes back from stamp ${this.#stamp} to ${stamp}`);
      if (stamp === this.#stamp) continue;
      this.#replaced.push({ stamp: this.#stamp, untilMs: this.#world.nowMs + PINNED_MS });
      if (this.#replaced.length > 64) this.#replaced.shift();
      this.#stamp = stamp;
    }
    return undefined;
  }

  /** Any request may come now: whatever the stamp leads to must be there. */
  #checkStamp(): void {
    if (this.stamp < 0) return;
    for (const name of this.#world.history.at(this.stamp).used) {
      const holds = this.serves(name) || this.isExcused(name, this.stamp);
      this.#world.check(holds, () => `${this.#name} routes by ${this.stamp}, and ${name} is not there or not warm`);
    }
  }
}
