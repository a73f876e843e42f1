import type { RevisionDraft } from '#domain/routing/revision.ts';
import type { RevisionNote, RoutingSnapshot } from '#domain/routing/types.ts';
import type { EnvoyState, ReplicaAnswer, ReplicaBoard, ReplicaQuestion, ReplicaState } from '#ports/replica-board.ts';
import { parseRoutingDocument, revisionFromDocument } from './fixtures/routing-at-once.ts';

/** Builders of routing for tests. */

export const ROUTING_NOTE: RevisionNote = { at: '2026-01-01T00:00:00.000Z', by: 'ann', note: '' };

/** The same shards for every kind, one endpoint each, and tenants placed on one shard for all kinds. */
export function routingDocument(
  placements: Readonly<Record<string, string>>,
  shards: readonly string[] = ['s1', 's2'],
): Record<string, Record<string, unknown>> {
  const directory = Object.fromEntries(
    shards.map((shard, index) => [shard, { endpoints: [{ address: '10.0.0.5', port: 9_000 + index }] }]),
  );
  return {
    aggregate_placement: placements,
    projection_placement: placements,
    runner_placement: placements,
    aggregate_shards: directory,
    projection_shards: directory,
    runner_shards: directory,
  };
}

/** Tenants `t0` ... on shards `s0` ... in turn. */
export function manyTenants({ tenants, shards }: { readonly tenants: number; readonly shards: number }) {
  const names = Array.from({ length: shards }, (_, index) => `s${index}`);
  const placements = Object.fromEntries(
    Array.from({ length: tenants }, (_, index) => [`t${index}`, `s${index % shards}`] as const),
  );
  return routingDocument(placements, names);
}

/** The revision after `parent` with this content. @throws when the document is mistaken or changes nothing */
export function draftOf(document: unknown, parent?: RoutingSnapshot, note: RevisionNote = ROUTING_NOTE): RevisionDraft {
  const parsed = parseRoutingDocument(document);
  if (!parsed.ok) throw new Error(`the document is refused: ${JSON.stringify(parsed.error)}`);
  const draft = revisionFromDocument(parent, parsed.value, note);
  if (draft === undefined) throw new Error('the document changes nothing');
  return draft;
}

/** A snapshot that was never stored; its manifest names nothing. */
export const snapshotOf = (document: unknown, parent?: RoutingSnapshot): RoutingSnapshot => ({
  ...draftOf(document, parent),
  manifest: '0'.repeat(64),
});

/** A board whose xds side a test writes itself; the authz side is that of the replica under test. */
export class RoutingBoard implements Pick<ReplicaBoard, 'live' | 'onChange' | 'ask'> {
  readonly #own: Pick<ReplicaBoard, 'live' | 'onChange'>;
  readonly #revision: () => number;
  /** The Envoys that the one xds replica `x` serves; undefined while there is no such replica. */
  envoys: readonly EnvoyState[] | undefined;
  /** What the replicas answer; nobody unless set. */
  answers: (question: ReplicaQuestion) => readonly ReplicaAnswer[] = () => [];

  constructor(own: Pick<ReplicaBoard, 'live' | 'onChange'>, revision: () => number) {
    this.#own = own;
    this.#revision = revision;
  }

  live(role: 'authz' | 'xds'): readonly ReplicaState[] {
    if (role === 'authz') return this.#own.live(role).map((state) => ({ ...state, routingRevision: this.#revision() }));
    return this.envoys === undefined
      ? []
      : [{ role, replica: 'x', routingRevision: this.#revision(), envoys: this.envoys, seenAtMs: 0 }];
  }

  onChange(listener: () => void): () => void {
    return this.#own.onChange(listener);
  }

  async ask(question: ReplicaQuestion): Promise<readonly ReplicaAnswer[]> {
    return this.answers(question);
  }
}

/** An Envoy as the status shows it. */
export const envoyState = (node: string, acked: number, rejected: EnvoyState['rejected'] = []): EnvoyState => ({
  node,
  stamp: acked,
  acked,
  connectedAt: '2026-03-01T11:00:00.000Z',
  rejected,
});
