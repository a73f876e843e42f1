import { LIMITS } from '#domain/limits.ts';
import { ask, type Person } from '../edge-client.ts';
import { until } from '../wait.ts';
import { LOAD_KINDS, type LoadKind } from './load-answer.ts';
import type { LoadJudge } from './load-judge.ts';
import type { NodeFarm } from './node-farm.ts';
import type { Publisher } from './publishers.ts';

const ACKED_DEADLINE_MS = 60_000;
type Document = Record<string, Record<string, unknown>>;

/** What the rounds talk to. */
export interface RoundsOptions {
  readonly http: string;
  readonly admin: Person;
  readonly farm: NodeFarm;
  readonly judge: LoadJudge;
  /** Take turns, one round each. */
  readonly publishers: readonly [Publisher, ...Publisher[]];
  /** The tenant that moves. */
  readonly tenant: string;
  /** The shards are called by it and a number. */
  readonly name: string;
}

/**
 * Rounds of "add a shard, move a tenant there, remove the old shard", of both kinds at once. The node of a removed shard is ended as an operator does it: when every Envoy routes by a revision without it, and
 * the requests that were on their way then have had their time.
 */
export class ShardRounds {
  readonly #options: RoundsOptions;
  readonly #document: Document;
  readonly #removals: Promise<void>[] = [];
  #shard = '';
  #count = 0;

  private constructor(options: RoundsOptions, document: Document) {
    this.#options = options;
    this.#document = document;
  }

  /** Puts the tenant on a first shard of its own, beside everything that is published now. */
  static async begin(options: RoundsOptions): Promise<ShardRounds> {
    const { http, admin, judge, tenant } = options;
    const { body } = await ask(http, '/admin/routing?include=document', { token: admin.token });
    const rounds = new ShardRounds(options, structuredClone(Object(body['document'])));
    const shard = await rounds.#addShard();
    for (const kind of LOAD_KINDS) rounds.#part(kind, 'placement')[tenant] = shard;
    judge.placed(tenant, await options.publishers[0].publish(rounds.#document), shard);
    rounds.#shard = shard;
    return rounds;
  }

  /** Rounds done. */
  get count(): number {
    return this.#count;
  }

  /** One round; ends when the removal of the old shard is published. */
  async run(): Promise<void> {
    const { tenant, judge, publishers } = this.#options;
    const publisher = publishers[this.#count % publishers.length] ?? publishers[0];
    const before = this.#shard;
    this.#count += 1;
    const shard = await this.#addShard();
    await publisher.publish(this.#document);
    const moved = await publisher.publish({ changes: [{ tenant, aggregate: shard, projection: shard }] });
    judge.placed(tenant, moved, shard);
    for (const kind of LOAD_KINDS) {
      this.#part(kind, 'placement')[tenant] = shard;
      delete this.#part(kind, 'shards')[before];
    }
    const removed = await publisher.publish(this.#document);
    this.#removals.push(this.#untilGone(before, removed));
    this.#shard = shard;
  }

  /** Waits until every Envoy routes without all of the removed shards. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** A shard of both kinds with a node that was just started, in the document. @returns its name */
  async #addShard(): Promise<string> {
    const { farm, name } = this.#options;
    const shard = `${name}-${this.#count}`;
    await Promise.all(
      LOAD_KINDS.map(async (kind) => {
        const port = await farm.start(kind, shard);
        this.#part(kind, 'shards')[shard] = { endpoints: [{ address: '127.0.0.1', port }] };
      }),
    );
    return shard;
  }

  #part(kind: LoadKind, part: 'shards' | 'placement'): Record<string, unknown> {
    const found = this.#document[`${kind}_${part}`];
    if (found === undefined) throw new Error(`the document has no ${kind}_${part}`);
    return found;
  }

  async #untilGone(shard: string, removedAt: number): Promise<void> {
    const { http, admin, farm } = this.#options;
    const isPast = async (): Promise<boolean> => {
      const { body } = await ask(http, '/admin/routing/status', { token: admin.token });
      const envoys = Array.isArray(body['envoys']) ? body['envoys'] : [];
      return envoys.length > 0 && envoys.every((envoy) => Number(Object(envoy).acked) >= removedAt);
    };
    await until(isPast, { deadlineMs: ACKED_DEADLINE_MS, what: `every Envoy to route without ${shard}` });
    // A request that was decided before may still be on its way, for as long as a shard may take to answer one.
    for (const kind of LOAD_KINDS) farm.endLater(kind, shard, LIMITS.upstreamTimeoutMs);
  }
}
