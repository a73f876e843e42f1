import { LIMITS } from '#domain/limits.ts';
import { RevisionTimes } from '#domain/routing/swap/revision-times.ts';
import {
  parseSwapQuestion,
  SWAP_QUESTION,
  type SwapRejection,
  type XdsSwapFacts,
} from '#domain/routing/swap/swap-facts.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { SessionEvent } from './ads/session-event.ts';
import { TYPE_URL } from './snapshot/resource-types.ts';

/** Names and text of one rejection that are kept; the log has them whole. */
const NAMES_MAX_COUNT = 20;
const ERROR_MAX_CHARS = 2_000;

interface NodeRecord {
  readonly sent: RevisionTimes;
  readonly acked: RevisionTimes;
  rejected: readonly SwapRejection[];
}

/**
 * Remembers how routing revisions came into force at the Envoys of this replica: when each revision was loaded, when
 * its stamp was first permitted, when each Envoy was told and acknowledged it, and what Envoys rejected. In memory and
 * bounded: the newest `swapRecordsMaxCount` revisions, the `swapRecordNodesMaxCount` Envoys that were heard of last.
 */
export class SwapRecord {
  readonly #nowMs: () => number;
  readonly #sinceMs: number;
  readonly #loaded = new RevisionTimes();
  readonly #stamped = new RevisionTimes();
  /** In the order in which they were last heard of. */
  readonly #nodes = new Map<string, NodeRecord>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#sinceMs = nowMs();
  }

  /** This replica has the revision complete. */
  loaded(revision: number): void {
    this.#loaded.add(revision, this.#nowMs());
  }

  /** The same function of a stamp, watched: it is called when Envoys may first be told that stamp. */
  watchStamps<Value>(encodeRoutes: (stamp: number) => Value): (stamp: number) => Value {
    return (stamp) => {
      this.#stamped.add(stamp, this.#nowMs());
      return encodeRoutes(stamp);
    };
  }

  /** What an Envoy was told and what it answered. */
  onEvent(node: string | undefined, event: SessionEvent): void {
    if (node === undefined) return;
    if (event.kind === 'stamp_sent') this.#record(node).sent.add(event.stamp, this.#nowMs());
    if (event.kind === 'stamp_acked') this.#record(node).acked.add(event.stamp, this.#nowMs());
    if (event.kind !== 'rejected') return;
    const record = this.#record(node);
    const names = event.names.slice(0, NAMES_MAX_COUNT);
    const error = event.error.slice(0, ERROR_MAX_CHARS);
    const rejection = { type: TYPE_URL[event.type], names, error, atMs: this.#nowMs() };
    record.rejected = [...record.rejected, rejection].slice(-LIMITS.swapRecordRejectionsMaxCount);
  }

  /** What is known of a revision. */
  facts(revision: number): XdsSwapFacts {
    const loaded = this.#loaded.reached(revision);
    const stamped = this.#stamped.reached(revision);
    const envoys = [...this.#nodes].map(([node, record]) => {
      const sent = record.sent.reached(revision);
      const acked = record.acked.reached(revision);
      const rejected = record.rejected.filter(
        ({ atMs }) => loaded !== undefined && atMs >= loaded.atMs && atMs <= (acked?.atMs ?? Number.POSITIVE_INFINITY),
      );
      return { node, ...(sent === undefined ? {} : { sent }), ...(acked === undefined ? {} : { acked }), rejected };
    });
    return {
      sinceMs: this.#sinceMs,
      ...(loaded === undefined ? {} : { loaded }),
      ...(stamped === undefined ? {} : { stamped }),
      envoys,
    };
  }

  /** Answers the other replicas' questions. @returns a function that ends it */
  answerOn(board: Pick<ReplicaBoard, 'answer'>): () => void {
    return board.answer(SWAP_QUESTION, (body) => {
      const question = parseSwapQuestion(body);
      return question && this.facts(question.revision);
    });
  }

  /** The record of a node, now the one heard of last. */
  #record(node: string): NodeRecord {
    const record = this.#nodes.get(node) ?? { sent: new RevisionTimes(), acked: new RevisionTimes(), rejected: [] };
    this.#nodes.delete(node);
    this.#nodes.set(node, record);
    if (this.#nodes.size > LIMITS.swapRecordNodesMaxCount) {
      const [oldest] = this.#nodes.keys();
      if (oldest !== undefined) this.#nodes.delete(oldest);
    }
    return record;
  }
}
