import type { NatsLink } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument } from '#app/publish-revision.ts';
import { SERVICE_KINDS } from '#domain/ids.ts';
import { toDocument } from '#domain/routing/revision.ts';
import { createLog } from '#platform/log.ts';
import type { KeyValueStore, Write } from '#ports/key-value-store.ts';
import { monotonicMs } from './harness.ts';

const clock = { nowMs: () => Date.now() };
const log = createLog({ service: 'bench', level: 'silent' });

export const tenantName = (index: number): string => `bench-${String(index).padStart(6, '0')}`;

/** A move of which `head` has been put and is not acknowledged yet. */
export interface PutMove {
  readonly revision: number;
  readonly shard: string;
  /** `monotonicMs` */
  readonly putAtMs: number;
}

/** A published move: acknowledged. */
export interface Move extends PutMove {
  /** From the call of the move. */
  readonly publishMs: number;
}

/** Publishes for benchmarks, straight to the storage: what the admin API does, without the request to it. */
export class BenchRouting {
  readonly #revisions: RevisionStore;
  readonly #shardOf = new Map<string, string>();
  /** Ends when the move before has. */
  #turn: Promise<unknown> = Promise.resolve();
  #onHeadPut: (revision: number) => void = () => undefined;
  #newest = 0;

  constructor(link: NatsLink) {
    const store = new NatsKeyValueStore(link, 'ROUTING', log);
    const stamped = watchedStore(store, (revision) => this.#onHeadPut(revision));
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

  /**
   * Moves a tenant's projection to the other one of s1 and s2, one move at a time.
   * @param onPut is called when `head` has been put, before that is acknowledged
   */
  move(tenant: string, onPut: (move: PutMove) => void): Promise<Move> {
    const calledAtMs = monotonicMs();
    const moved = this.#turn.then(async () => {
      const move = await this.#moveNow(tenant, onPut);
      return { ...move, publishMs: monotonicMs() - calledAtMs };
    });
    this.#turn = moved.catch(() => undefined);
    return moved;
  }

  async #moveNow(tenant: string, onPut: (move: PutMove) => void): Promise<PutMove> {
    const shard = this.#shardOf.get(tenant) === 's2' ? 's1' : 's2';
    this.#shardOf.set(tenant, shard);
    let put: PutMove | undefined;
    this.#onHeadPut = (revision) => {
      // Garbage is collected meanwhile: that puts the head again that stands there.
      if (revision <= this.#newest) return;
      put = { revision, shard, putAtMs: monotonicMs() };
      onPut(put);
    };
    const published = await publishChanges(
      { store: this.#revisions, clock },
      { by: 'bench', changes: { changes: [{ tenant, projection: shard }] } },
    );
    if (!published.ok) throw new Error(`move refused: ${published.error.detail}`);
    if (put?.revision !== published.value.revision) throw new Error('somebody else publishes too');
    this.#newest = put.revision;
    return put;
  }
}

/** Tells of each write of `head`, in the moment it is sent. */
function watchedStore(store: KeyValueStore, onHeadPut: (revision: number) => void): KeyValueStore {
  return {
    get: (key) => store.get(key),
    list: (prefix, page) => store.list(prefix, page),
    keys: (prefix) => store.keys(prefix),
    watch: (options) => store.watch(options),
    commit: (writes) => {
      const committed = store.commit(writes);
      const head = writes.find((write) => write.key === 'head');
      if (head !== undefined) onHeadPut(revisionOf(head));
      return committed;
    },
  };
}

function revisionOf(write: Write): number {
  const head: unknown =
    'value' in write && write.value !== undefined ? JSON.parse(Buffer.from(write.value).toString()) : undefined;
  if (head === null || typeof head !== 'object' || !('revision' in head)) throw new Error('a head without a revision');
  return Number(head.revision);
}
