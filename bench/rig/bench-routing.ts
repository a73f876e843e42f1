import type { NatsLink } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument } from '#app/publish-revision.ts';
import { SERVICE_KINDS } from '#domain/ids.ts';
import { toDocument } from '#domain/routing/revision.ts';
import { createLog } from '#platform/log.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { monotonicMs } from './harness.ts';

const clock = { nowMs: () => Date.now() };
const log = createLog({ service: 'bench', level: 'silent' });

export const tenantName = (index: number): string => `bench-${String(index).padStart(6, '0')}`;

/** A published move. */
export interface Move {
  readonly revision: number;
  readonly shard: string;
  /** When `head` was put, and when that was acknowledged: `monotonicMs`. */
  readonly putAtMs: number;
  readonly publishedAtMs: number;
  /** From the call of the move. */
  readonly publishMs: number;
}

/** Publishes for benchmarks, straight to the storage: what the admin API does, without the request to it. */
export class BenchRouting {
  readonly #revisions: RevisionStore;
  readonly #shardOf = new Map<string, string>();
  #putAtMs = 0;

  constructor(link: NatsLink) {
    const store = new NatsKeyValueStore(link, 'ROUTING', log);
    const stamped = stampedStore(store, (atMs) => {
      this.#putAtMs = atMs;
    });
    this.#revisions = new RevisionStore({ store: stamped, log });
  }

  /**
   * All tenants on s1 for every kind, on top of what the development gateway routes, and further shards of every kind
   * whose endpoint is that of a reference node.
   * @returns the revision
   */
  async publishTenants(size: { readonly tenants: number; readonly shardsPerKind: number }): Promise<number> {
    const current = await this.#revisions.head();
    if (current === undefined) throw new Error('the development gateway has no routing');
    const document = toDocument(current);
    const placement = Object.fromEntries(Array.from({ length: size.tenants }, (_, index) => [tenantName(index), 's1']));
    for (const kind of SERVICE_KINDS) {
      const shards = Object(document[`${kind}_shards`]);
      const models = Object.values(shards);
      const extra = Array.from({ length: size.shardsPerKind }, (_, index) => [
        `extra-${String(index).padStart(5, '0')}`,
        models[index % models.length],
      ]);
      document[`${kind}_placement`] = placement;
      document[`${kind}_shards`] = { ...shards, ...Object.fromEntries(extra) };
    }
    const published = await publishDocument({ store: this.#revisions, clock }, { by: 'bench', document });
    if (!published.ok) throw new Error(`document refused: ${published.error.detail}`);
    return published.value.revision;
  }

  /** Moves a tenant's projection to the other one of s1 and s2. */
  async move(tenant: string): Promise<Move> {
    const shard = this.#shardOf.get(tenant) === 's2' ? 's1' : 's2';
    this.#shardOf.set(tenant, shard);
    const startedAtMs = monotonicMs();
    const published = await publishChanges(
      { store: this.#revisions, clock },
      { by: 'bench', changes: { changes: [{ tenant, projection: shard }] } },
    );
    if (!published.ok) throw new Error(`move refused: ${published.error.detail}`);
    const publishedAtMs = monotonicMs();
    const { revision } = published.value;
    return { revision, shard, putAtMs: this.#putAtMs, publishedAtMs, publishMs: publishedAtMs - startedAtMs };
  }
}

/** Puts the time of each write of `head` down. Publications of one process take turns: the last one is the right one. */
function stampedStore(store: KeyValueStore, onHeadPut: (atMs: number) => void): KeyValueStore {
  return {
    get: (key) => store.get(key),
    list: (prefix, page) => store.list(prefix, page),
    keys: (prefix) => store.keys(prefix),
    watch: (options) => store.watch(options),
    commit: (writes) => {
      if (writes.some((write) => write.key === 'head')) onHeadPut(monotonicMs());
      return store.commit(writes);
    },
  };
}
