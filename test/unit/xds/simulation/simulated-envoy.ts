import type { DeltaRequest } from '../../../../xds/ads/delta-request.ts';
import type { AdsSession } from '../../../../xds/ads/session.ts';
import type { ControlPlane } from '../../../../xds/control-plane.ts';
import { stampOfVersion } from '../../../../xds/snapshot/resource.ts';
import { type ResourceType, resourceTypeOf, TYPE_URL } from '../../../../xds/snapshot/resource-types.ts';
import { readResponse } from './read-response.ts';

type Held = Map<string, string>;

/**
 * An Envoy as far as ADS sees one: a wildcard for clusters and listeners, endpoints for each cluster it has, one route
 * configuration, answers in order, what it holds kept over reconnects. The test decides when it reads and answers.
 */
export class SimulatedEnvoy {
  readonly name: string;
  readonly held: Readonly<Record<ResourceType, Held>> = {
    cluster: new Map(),
    endpoint: new Map(),
    listener: new Map(),
    secret: new Map(),
    route: new Map(),
  };
  /** Contents it refuses, by `name@version`. */
  readonly refuses: (content: string) => boolean;
  /** What each response held, as `type +added -removed`. */
  readonly received: string[] = [];
  readonly stampsSeen: number[] = [];
  readonly clustersLost: { readonly name: string; readonly atMs: number; readonly stamp: number }[] = [];
  readonly #nowMs: () => number;
  #session: AdsSession | undefined;
  #plane: ControlPlane | undefined;
  #inbox: Buffer[] = [];
  #pauses = false;
  wasRefused = false;
  /** Responses sent on the newest stream, read or not. */
  toldCount = 0;

  constructor(name: string, nowMs: () => number, refuses: (content: string) => boolean = () => false) {
    this.name = name;
    this.#nowMs = nowMs;
    this.refuses = refuses;
  }

  get isConnected(): boolean {
    return this.#session !== undefined;
  }

  get stamp(): number {
    return stampOfVersion(this.held.route.get('gateway'));
  }

  connect(plane: ControlPlane): void {
    this.disconnect();
    if (!plane.isReady) return;
    this.wasRefused = false;
    this.toldCount = 0;
    this.#plane = plane;
    const session = plane.open({
      send: (bytes) => {
        this.#inbox.push(bytes);
        this.toldCount += 1;
        return !this.#pauses;
      },
      refuse: () => {
        this.wasRefused = true;
        this.#session = undefined;
        this.#inbox = [];
        plane.close(session);
      },
    });
    this.#session = session;
    // In the order of an Envoy: clusters first, then what it has subscribed to before.
    this.#request('cluster', { initialVersions: Object.fromEntries(this.held.cluster) });
    if (this.held.cluster.size > 0) {
      const names = [...this.held.cluster.keys()];
      this.#request('endpoint', { subscribe: names, initialVersions: Object.fromEntries(this.held.endpoint) });
    }
    this.#request('listener', { initialVersions: Object.fromEntries(this.held.listener) });
    if (this.held.listener.size > 0) this.#askForRoutes();
  }

  disconnect(): void {
    if (this.#session !== undefined) this.#plane?.close(this.#session);
    this.#session = undefined;
    this.#inbox = [];
  }

  /** Stops reading: the server is told to write no more. */
  pause(): void {
    this.#pauses = true;
  }

  resume(): void {
    if (!this.#pauses) return;
    this.#pauses = false;
    this.#session?.drained();
  }

  /** Reads and answers one response. @returns false when there is none */
  step(): boolean {
    const bytes = this.#inbox.shift();
    if (bytes === undefined) return false;
    const { typeUrl, nonce, resources, removed } = readResponse(bytes);
    const type = resourceTypeOf(typeUrl);
    if (type === undefined) throw new Error(`an unknown type ${typeUrl}`);
    this.received.push(
      [type, ...resources.map(({ name }) => `+${name}`), ...removed.map((name) => `-${name}`)].join(' '),
    );
    const culprit = resources.find(({ content }) => this.refuses(Buffer.from(content).toString('utf8')));
    if (culprit !== undefined) {
      this.#request(type, { nonce, error: `cannot apply ${culprit.name}` });
      return true;
    }
    for (const { name, version } of resources) this.held[type].set(name, version);
    for (const name of removed) this.#lose(type, name);
    if (type === 'route') this.stampsSeen.push(this.stamp);
    this.#request(type, { nonce });
    if (type === 'cluster')
      this.#followClusters(
        resources.map(({ name }) => name),
        removed,
      );
    if (type === 'listener' && this.held.listener.size > 0 && this.held.route.size === 0) this.#askForRoutes();
    return true;
  }

  get inboxLength(): number {
    return this.#inbox.length;
  }

  #askForRoutes(): void {
    this.#request('route', { subscribe: ['gateway'], initialVersions: Object.fromEntries(this.held.route) });
  }

  #lose(type: ResourceType, name: string): void {
    if (type === 'endpoint') return; // Envoy keeps the endpoints of a cluster that it has
    if (type === 'cluster' && this.held.cluster.has(name)) {
      this.clustersLost.push({ name, atMs: this.#nowMs(), stamp: this.stamp });
    }
    this.held[type].delete(name);
  }

  #followClusters(added: readonly string[], removed: readonly string[]): void {
    const subscribe = added.filter((name) => !this.held.endpoint.has(name));
    if (subscribe.length > 0) this.#request('endpoint', { subscribe });
    if (removed.length === 0) return;
    for (const name of removed) this.held.endpoint.delete(name);
    this.#request('endpoint', { unsubscribe: [...removed] });
  }

  #request(type: ResourceType, part: Partial<DeltaRequest>): void {
    this.#session?.receive({
      typeUrl: TYPE_URL[type],
      nodeId: this.name,
      subscribe: [],
      unsubscribe: [],
      initialVersions: {},
      nonce: '',
      error: undefined,
      ...part,
    });
  }
}
