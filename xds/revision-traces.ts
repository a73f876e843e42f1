import { LIMITS } from '#domain/limits.ts';
import { formatTraceParent } from '#platform/tracing/trace-parent.ts';
import type { Tracing } from '#platform/tracing/tracing.ts';
import type { SessionEvent } from './ads/session-event.ts';

/**
 * One trace per routing revision: how long applying it took here, and under that, per Envoy, the time from telling its
 * stamp to the acknowledgement. Of a stamp that came from before the start, or that was overtaken, there is no span.
 */
export class RevisionTraces {
  readonly #tracing: Tracing | undefined;
  readonly #nowMs: () => number;
  /** `traceparent` of the newest revisions. */
  readonly #applied = new Map<number, string>();
  /** What each Envoy was told and has not acknowledged. */
  readonly #told = new Map<string, { readonly stamp: number; readonly atMs: number }>();

  /** @param nowMs milliseconds since 1970 */
  constructor(tracing: Tracing | undefined, nowMs: () => number) {
    this.#tracing = tracing;
    this.#nowMs = nowMs;
  }

  /** Does the work that applies a revision. Envoys may be told of it meanwhile: its span is there before theirs. */
  apply(revision: number, work: () => void): void {
    const startMs = this.#nowMs();
    work();
    const place = this.#tracing?.record({
      name: 'apply routing revision',
      kind: 'internal',
      startMs,
      endMs: this.#nowMs(),
      attributes: { 'gateway.revision': revision },
    });
    if (place === undefined) return;
    this.#applied.set(revision, formatTraceParent(place));
    dropOldest(this.#applied, LIMITS.swapRecordsMaxCount);
  }

  /** What an Envoy was told and what it answered. */
  onEvent(node: string | undefined, event: SessionEvent): void {
    if (node === undefined) return;
    if (event.kind === 'stamp_sent') {
      this.#told.delete(node);
      this.#told.set(node, { stamp: event.stamp, atMs: this.#nowMs() });
      dropOldest(this.#told, LIMITS.swapRecordNodesMaxCount);
    }
    if (event.kind === 'stamp_acked') this.#end(node, event.stamp, undefined);
    if (event.kind === 'rejected' && event.type === 'route') {
      this.#end(node, this.#told.get(node)?.stamp, event.error);
    }
  }

  #end(node: string, stamp: number | undefined, error: string | undefined): void {
    const told = this.#told.get(node);
    if (told === undefined || told.stamp !== stamp) return;
    this.#told.delete(node);
    const traceparent = this.#applied.get(told.stamp);
    if (traceparent === undefined) return;
    this.#tracing?.record({
      name: 'stamp',
      kind: 'internal',
      traceparent,
      startMs: told.atMs,
      endMs: this.#nowMs(),
      attributes: { 'gateway.revision': told.stamp, 'gateway.envoy': node },
      error,
    });
  }
}

/** Keeps the `maxCount` entries that were put in last. */
function dropOldest<Key>(entries: Map<Key, unknown>, maxCount: number): void {
  const [oldest] = entries.keys();
  if (entries.size > maxCount && oldest !== undefined) entries.delete(oldest);
}
