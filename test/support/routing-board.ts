import type { EnvoyState, ReplicaAnswer, ReplicaBoard, ReplicaQuestion, ReplicaState } from '#ports/replica-board.ts';

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
