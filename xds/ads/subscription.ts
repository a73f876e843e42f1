import { LIMITS } from '#domain/limits.ts';
import type { Resource } from '../snapshot/resource.ts';
import type { ResourceView } from '../snapshot/resource-table.ts';
import type { DeltaRequest } from './delta-request.ts';
import { RejectedVersions } from './rejected-versions.ts';
import type { Delta, Held, Inflight, NameStatus, Reception } from './subscription-terms.ts';

/** What the client is told of a name that does not exist, as its version. */
const REMOVED = '';
/** The client may or may not hold something: it gets the newest version, or is told that there is none. */
const UNSURE = '?';

export interface SubscriptionOptions {
  readonly view: ResourceView;
  /**
   * Whether a name that exists no longer may be taken from this client now; false keeps it for a later look. Names the
   * client asked for and that never existed are always answered.
   */
  readonly mayRemove: (name: string) => boolean;
  /** False: nothing at all is said about this name yet, not even that it does not exist. */
  readonly isReady?: (name: string) => boolean;
  /**
   * Whether a first request that names nothing asks for everything. So it is with clusters and listeners alone; of any
   * other type such a client wants nothing yet (xDS protocol, "How the client specifies what resources to return").
   */
  readonly isWildcardByDefault: boolean;
  /** Makes the nonce of each response, unique on the stream. */
  readonly nextNonce: () => string;
  readonly nowMs: () => number;
}

/**
 * One stream's state for one type of resources: the incremental protocol (Envoy, "xDS REST and gRPC protocol",
 * incremental xDS) as a plain object apart from the socket.
 *
 * - `wildcard` and `names`: what the client wants. `sent`: what it is assumed to hold, `acked`: what it said it holds.
 * - `dirty`: names whose newest version may have to be sent; the difference is made when it is sent, so nothing goes
 *   stale in a queue and memory is bounded by the names.
 * - `inflight`: what each unanswered response carried; nothing more is sent while too many are.
 * - `bad`: versions this client rejected, never sent again to it; what it had before is sent once more instead.
 * - `apart`: groups of names to be sent on their own, after a response of several was rejected (halving).
 */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #names = new Set<string>();
  readonly #sent = new Map<string, string>();
  readonly #acked = new Map<string, Held>();
  readonly #dirty = new Set<string>();
  readonly #inflight = new Map<string, Inflight>();
  readonly #bad = new RejectedVersions();
  #apart: readonly string[][] = [];
  #wildcard = false;
  #begun = false;
  /** The first wildcard request is answered even with nothing: Envoy waits for it. */
  #owesAnswer = false;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
  }

  /** Subscription changes count in every request, also in one whose nonce is stale. */
  receive(request: DeltaRequest): Reception {
    const isFirst = !this.#begun;
    this.#begun = true;
    const namesNothing = request.subscribe.length === 0 && request.unsubscribe.length === 0;
    if (isFirst && namesNothing && this.#options.isWildcardByDefault) this.#subscribe('*');
    for (const name of request.subscribe) this.#subscribe(name);
    for (const name of request.unsubscribe) this.#unsubscribe(name);
    if (isFirst) this.#resume(request.initialVersions);
    return this.#settle(request);
  }

  /** Names that changed in the table. */
  changed(names: Iterable<string>): void {
    for (const name of names) if (this.#wants(name)) this.#dirty.add(name);
  }

  /** Sends a name again though its version is the same: the client has dropped what it held. */
  resend(name: string): void {
    if (!this.#wants(name)) return;
    if (this.#options.view.get(name) === undefined)
      this.#sent.delete(name); // that there is none is told too
    else this.#sent.set(name, UNSURE);
    this.#dirty.add(name);
  }

  /** The next response, registered as sent; undefined when there is nothing to say. */
  next(): Delta | undefined {
    if (this.#inflight.size >= LIMITS.xdsResponsesInFlightMaxCount) return undefined;
    const [group, ...later] = this.#apart;
    this.#apart = later;
    const resources: Resource[] = [];
    const removed: string[] = [];
    for (const name of group ?? [...this.#dirty]) this.#collect(name, resources, removed);
    if (resources.length > 0 && removed.length > 0) {
      // In a response of their own: what is taken away must not depend on whether something else is accepted.
      for (const name of removed) this.#dirty.add(name);
      removed.length = 0;
    }
    if (resources.length === 0 && removed.length === 0 && !this.#owesAnswer) {
      // A group that came to nothing is no reason to pass over what else there is.
      return group === undefined ? undefined : this.next();
    }
    this.#owesAnswer = false;
    const carried = new Map<string, Resource | undefined>();
    for (const resource of resources) carried.set(resource.name, resource);
    for (const name of removed) carried.set(name, undefined);
    for (const [name, resource] of carried) this.#sent.set(name, versionOf(resource));
    const nonce = this.#options.nextNonce();
    this.#inflight.set(nonce, { carried, disregarded: new Set() });
    return { nonce, resources, removed };
  }

  /** The version of a name that the client said it holds; undefined when it holds none. */
  ackedVersion(name: string): string | undefined {
    return this.#acked.get(name)?.version;
  }

  /** Whether the client holds the newest version of a name, or has lost it as it should; no rejection stands then. */
  isUpToDate(name: string): boolean {
    return this.#options.view.get(name)?.version === this.ackedVersion(name);
  }

  /** What the client said against this version of a name; undefined when it has not rejected it. */
  rejectionOf(name: string, version: string): string | undefined {
    return this.#bad.rejectionOf(name, version)?.error;
  }

  /** Every name that this client holds, is to have or has asked for. */
  knownNames(): ReadonlySet<string> {
    const names = new Set([...this.#names, ...this.#acked.keys()]);
    if (this.#wildcard) for (const name of this.#options.view.names()) names.add(name);
    return names;
  }

  statusOf(name: string): NameStatus {
    const newest = this.#options.view.get(name);
    const rejection = newest && this.#bad.rejectionOf(name, newest.version);
    const isSent = this.#sent.get(name) === versionOf(newest);
    return { name, newest, held: this.#acked.get(name), isSent, rejection };
  }

  get hasBegun(): boolean {
    return this.#begun;
  }

  /** Whether a response awaits its answer. */
  get isAwaiting(): boolean {
    return this.#inflight.size > 0;
  }

  #wants(name: string): boolean {
    return this.#wildcard || this.#names.has(name);
  }

  #subscribe(name: string): void {
    if (name === '*') {
      this.#wildcard = true;
      this.#owesAnswer = true;
      for (const each of this.#options.view.names()) this.#dirty.add(each);
      return;
    }
    this.#names.add(name);
    this.#sent.delete(name); // subscribing again asks for the resource again
    this.#disregard(name);
    this.#dirty.add(name);
  }

  #unsubscribe(name: string): void {
    if (name === '*') {
      this.#wildcard = false;
      for (const each of [...this.#sent.keys()]) if (!this.#names.has(each)) this.#forget(each);
      for (const each of [...this.#dirty]) if (!this.#names.has(each)) this.#dirty.delete(each);
      return;
    }
    this.#names.delete(name);
    this.#forget(name);
    // Still wanted by the wildcard: the client is told again what there is, or that there is nothing.
    if (this.#wildcard) {
      this.#sent.set(name, UNSURE);
      this.#dirty.add(name);
    }
  }

  #forget(name: string): void {
    this.#sent.delete(name);
    this.#acked.delete(name);
    this.#dirty.delete(name);
    this.#disregard(name);
  }

  #disregard(name: string): void {
    for (const { carried, disregarded } of this.#inflight.values()) if (carried.has(name)) disregarded.add(name);
  }

  /** A reconnecting client says what it holds: only what differs is sent, and what is gone is removed. */
  #resume(versions: Readonly<Record<string, string>>): void {
    for (const [name, version] of Object.entries(versions)) {
      this.#sent.set(name, version);
      this.#acked.set(name, { version });
      if (this.#wants(name)) this.#dirty.add(name);
    }
  }

  #settle(request: DeltaRequest): Reception {
    const answered = this.#inflight.get(request.nonce);
    if (answered === undefined) return { kind: 'none' };
    this.#inflight.delete(request.nonce);
    return request.error === undefined ? this.#acknowledge(answered) : this.#reject(answered, request.error);
  }

  #acknowledge({ carried, disregarded }: Inflight): Reception {
    const names: string[] = [];
    for (const [name, resource] of carried) {
      if (disregarded.has(name)) continue;
      names.push(name);
      if (resource === undefined) this.#acked.delete(name);
      if (resource === undefined || !this.#wants(name)) continue;
      this.#acked.set(name, { version: resource.version, resource, atMs: this.#options.nowMs() });
      // Nothing newer is there for it, or was rejected: it holds this one after all.
      if (!this.#sent.has(name)) this.#sent.set(name, resource.version);
    }
    return { kind: 'ack', names };
  }

  /**
   * A rejected response of one name makes this version bad, and the last good one is sent again: the client says by its
   * answer that it is back there. Of several names nobody knows which one it was, nor which were applied: each half is
   * sent again on its own, down to the culprits; valid halves stick.
   */
  #reject({ carried, disregarded }: Inflight, error: string): Reception {
    const resources = [...carried.values()].filter((resource) => resource !== undefined);
    const names = resources.map(({ name }) => name);
    const [only] = resources;
    if (resources.length === 1 && only !== undefined) {
      const isLatest = this.#sent.get(only.name) === only.version && !disregarded.has(only.name);
      this.#bad.add(only, { error, atMs: this.#options.nowMs() });
      const held = this.#acked.get(only.name);
      if (isLatest && held === undefined) this.#sent.delete(only.name);
      else if (isLatest) this.#sent.set(only.name, UNSURE); // it may have lost what it had: endpoints with their cluster
      if (isLatest && held?.resource !== undefined && this.#wants(only.name)) this.#dirty.add(only.name);
      return { kind: 'nack', names, culprit: only.name, version: only.version, error };
    }
    const open = resources.filter(({ name }) => !disregarded.has(name));
    // Envoy applies the valid ones of a rejected response: what is gone meanwhile has to be taken from it.
    for (const { name, version } of open) if (this.#sent.get(name) === version) this.#sent.set(name, UNSURE);
    const again = open.map(({ name }) => name);
    const middle = Math.ceil(again.length / 2);
    this.#apart = [...this.#apart, again.slice(0, middle), again.slice(middle)].filter((group) => group.length > 0);
    for (const name of again) this.#dirty.delete(name);
    return { kind: 'nack', names, culprit: undefined, error };
  }

  /** The version to be sent now: the newest, or the last good one when this client rejected the newest. */
  #candidate(name: string): Resource | undefined {
    const newest = this.#options.view.get(name);
    if (newest === undefined || !this.#bad.has(name, newest.version)) return newest;
    const held = this.#acked.get(name)?.resource;
    return held === undefined || this.#bad.has(name, held.version) ? newest : held;
  }

  #collect(name: string, resources: Resource[], removed: string[]): void {
    if (this.#options.isReady?.(name) === false) return;
    const sent = this.#sent.get(name);
    const resource = this.#candidate(name);
    if (!this.#wants(name)) {
      this.#dirty.delete(name);
      return;
    }
    if (resource !== undefined) {
      this.#dirty.delete(name);
      if (resource.version !== sent && !this.#bad.has(name, resource.version)) resources.push(resource);
      return;
    }
    const isUnknown = sent === undefined && this.#names.has(name);
    if (!isUnknown && (sent === undefined || sent === REMOVED)) this.#dirty.delete(name);
    else if (isUnknown || this.#options.mayRemove(name)) {
      this.#dirty.delete(name);
      removed.push(name);
    } else {
      // For a later look, also when it came here in a group.
      this.#dirty.add(name);
    }
  }
}

const versionOf = (resource: Resource | undefined): string => resource?.version ?? REMOVED;
