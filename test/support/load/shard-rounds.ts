import { setTimeout as sleep } from 'node:timers/promises';
import { ask, type EdgeAnswer, type Person } from '../edge-client.ts';
import { until } from '../wait.ts';
import { LOAD_KINDS, type LoadKind } from './load-answer.ts';
import type { LoadJudge } from './load-judge.ts';
import type { NodeFarm } from './node-farm.ts';

const PUBLISH_DEADLINE_MS = 60_000;
const RETRY_AFTER_MS = 100;
/** The last requests of an old shard: an upstream timeout and more. */
const STOPPED_DEADLINE_MS = 60_000;
/** Answers that say "not now", whatever becomes of the publication. */
const RETRIED_STATUSES = new Set([429, 500, 502, 503, 504]);

type Document = Record<string, Record<string, unknown>>;

/** What the rounds talk to. */
export interface RoundsOptions {
  readonly http: string;
  readonly admin: Person;
  readonly farm: NodeFarm;
  readonly judge: LoadJudge;
  /** The tenant that moves. */
  readonly tenant: string;
  /** The shards are called by it and a number. */
  readonly name: string;
}

/**
 * Rounds of "add a shard, move a tenant there, remove the old shard", of both kinds at once and all through the admin
 * API. The node of a removed shard is ended when every Envoy routes by a revision without it, as an operator does it.
 */
export class ShardRounds {
  readonly #options: RoundsOptions;
  readonly #document: Document;
  readonly #endings: Promise<void>[] = [];
  #shard = '';
  #count = 0;
  /** Publications that had to be tried again. */
  retries = 0;

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
    judge.placed(tenant, await rounds.#publish(rounds.#document), shard);
    rounds.#shard = shard;
    return rounds;
  }

  /** Rounds done. */
  get count(): number {
    return this.#count;
  }

  /** One round; ends when the removal of the old shard is published. */
  async run(): Promise<void> {
    const { tenant, judge } = this.#options;
    const before = this.#shard;
    this.#count += 1;
    const shard = await this.#addShard();
    await this.#publish(this.#document);
    const moved = await this.#publish({ changes: [{ tenant, aggregate: shard, projection: shard }] });
    judge.placed(tenant, moved, shard);
    for (const kind of LOAD_KINDS) {
      this.#part(kind, 'placement')[tenant] = shard;
      delete this.#part(kind, 'shards')[before];
    }
    const removed = await this.#publish(this.#document);
    this.#endings.push(this.#endNodes(before, removed));
    this.#shard = shard;
  }

  /** Waits until the nodes of all removed shards have ended. @throws when an Envoy does not let go of one */
  async settle(): Promise<void> {
    await Promise.all(this.#endings);
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

  /** Publishes until it is published. Repeats do no harm: what is in force already is left as it is. */
  async #publish(body: object): Promise<number> {
    const { http, admin } = this.#options;
    const endsAtMs = performance.now() + PUBLISH_DEADLINE_MS;
    for (;;) {
      const answer = await ask(http, '/admin/routing/revisions', { token: admin.token, body }).catch(asAnswer);
      if (answer.status === 200) return Number(answer.body['revision']);
      const isFinal = !RETRIED_STATUSES.has(answer.status) || performance.now() > endsAtMs;
      if (isFinal) throw new Error(`a publication is refused: ${answer.status} ${answer.text}`);
      this.retries += 1;
      await sleep(RETRY_AFTER_MS);
    }
  }

  async #endNodes(shard: string, removedAt: number): Promise<void> {
    const { http, admin, farm } = this.#options;
    const isPast = async (): Promise<boolean> => {
      const { body } = await ask(http, '/admin/routing/status', { token: admin.token });
      const envoys = Array.isArray(body['envoys']) ? body['envoys'] : [];
      return envoys.length > 0 && envoys.every((envoy) => Number(Object(envoy).acked) >= removedAt);
    };
    await until(isPast, { deadlineMs: STOPPED_DEADLINE_MS, what: `every Envoy to route without ${shard}` });
    await Promise.all(LOAD_KINDS.map((kind) => farm.stop(kind, shard)));
  }
}

/** No answer at all is one to try again. */
const asAnswer = (error: unknown): Pick<EdgeAnswer, 'status' | 'text' | 'body'> => ({
  status: 503,
  text: String(error),
  body: {},
});
