import type { DeltaRequest } from '../../../xds/ads/delta-request.ts';
import { type ResourceType, TYPE_URL } from '../../../xds/snapshot/resource-types.ts';
import type { WireResponse } from './wire.ts';

/** Types in the order in which an Envoy subscribed to them, which is the order of its first requests. */
const TYPES: readonly ResourceType[] = ['cluster', 'endpoint', 'listener', 'secret', 'route'];
const WILDCARDS: ReadonlySet<ResourceType> = new Set(['cluster', 'listener']);

interface TypeState {
  hasBegun: boolean;
  /** On this stream. */
  hasAsked: boolean;
  isAnswered: boolean;
  readonly names: Set<string>;
  readonly versions: Map<string, string>;
  readonly added: Set<string>;
  readonly removed: Set<string>;
  answers: { readonly nonce: string; readonly error: string | undefined }[];
}

/**
 * The client's half of the incremental protocol as Envoy has it: per type the names it wants and the versions it
 * holds, which outlive streams. Requests about clusters, answers included, are held back while a cluster warms.
 */
export class Subscriptions {
  readonly #isPaused: () => boolean;
  readonly flushSoon: () => void;
  readonly #types: Record<ResourceType, TypeState> = {
    cluster: newState(),
    endpoint: newState(),
    listener: newState(),
    secret: newState(),
    route: newState(),
  };

  constructor(options: { readonly isPaused: () => boolean; readonly flush: () => void }) {
    this.#isPaused = options.isPaused;
    this.flushSoon = options.flush;
  }

  begin(type: ResourceType): void {
    if (this.#types[type].hasBegun) return;
    this.#types[type].hasBegun = true;
    this.flushSoon();
  }

  want(type: ResourceType, name: string): void {
    const state = this.#types[type];
    this.begin(type);
    if (state.names.has(name)) return;
    state.names.add(name);
    state.removed.delete(name);
    state.added.add(name);
    this.flushSoon();
  }

  drop(type: ResourceType, name: string): void {
    const state = this.#types[type];
    state.versions.delete(name);
    if (!state.names.delete(name)) return;
    state.added.delete(name);
    state.removed.add(name);
    this.flushSoon();
  }

  wants(type: ResourceType, name: string): boolean {
    return WILDCARDS.has(type) || this.#types[type].names.has(name);
  }

  isAnswered(type: ResourceType): boolean {
    return this.#types[type].isAnswered;
  }

  /** The versions of a type that it would name to a server it connects to. */
  versions(type: ResourceType): ReadonlyMap<string, string> {
    return this.#types[type].versions;
  }

  /** After a rejection no version counts, also of those resources that were applied. */
  answer({ type, nonce, resources, removed }: WireResponse, error: string | undefined): void {
    const state = this.#types[type];
    state.isAnswered = true;
    state.answers.push({ nonce, error });
    this.flushSoon();
    if (error !== undefined) return;
    for (const { name, version } of resources) if (this.wants(type, name)) state.versions.set(name, version);
    for (const name of removed) state.versions.delete(name);
  }

  /** A new stream: everything is asked for again, and answers to the old one are void. */
  restart(): void {
    for (const type of TYPES) {
      const state = this.#types[type];
      state.hasAsked = false;
      state.answers = [];
    }
    this.flushSoon();
  }

  /** What there is to say now, in order. */
  requests(node: string): readonly DeltaRequest[] {
    return TYPES.flatMap((type) => {
      if (!this.#types[type].hasBegun || (type === 'cluster' && this.#isPaused())) return [];
      return this.#requestsOf(type).map((part) => ({ ...EMPTY, typeUrl: TYPE_URL[type], nodeId: node, ...part }));
    });
  }

  #requestsOf(type: ResourceType): readonly Partial<DeltaRequest>[] {
    const state = this.#types[type];
    const changes = { subscribe: [...state.added], unsubscribe: [...state.removed] };
    state.added.clear();
    state.removed.clear();
    if (!state.hasAsked) {
      // Who wants nothing asks for nothing: a first request without names would ask for everything.
      if (state.names.size === 0 && !WILDCARDS.has(type)) return [];
      state.hasAsked = true;
      return [{ subscribe: [...state.names], initialVersions: Object.fromEntries(state.versions) }];
    }
    const answers = state.answers;
    state.answers = [];
    // Changes go with the first answer that there is.
    const [first, ...others] = answers;
    if (first !== undefined) return [{ ...first, ...changes }, ...others];
    return changes.subscribe.length + changes.unsubscribe.length > 0 ? [changes] : [];
  }
}

const EMPTY: Omit<DeltaRequest, 'typeUrl' | 'nodeId'> = {
  subscribe: [],
  unsubscribe: [],
  initialVersions: {},
  nonce: '',
  error: undefined,
};

const newState = (): TypeState => ({
  hasBegun: false,
  hasAsked: false,
  isAnswered: false,
  names: new Set(),
  versions: new Map(),
  added: new Set(),
  removed: new Set(),
  answers: [],
});
