import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { ControlPlane } from './control-plane.ts';

/** Details of Envoys are told at most this often; what others wait for is in them within that time. */
const COALESCE_MS = 20;

/** Exchanges with the replica board: tells of the Envoys served here, and hears how far the authz replicas are. */
export class Announcer {
  readonly #board: ReplicaBoard;
  readonly #controlPlane: ControlPlane;
  readonly #replica: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly board: ReplicaBoard;
    readonly controlPlane: ControlPlane;
    readonly replica: string;
  }) {
    this.#board = options.board;
    this.#controlPlane = options.controlPlane;
    this.#replica = options.replica;
  }

  /** Tells the board what is true in a moment; many calls are one announcement. */
  request(): void {
    this.#timer ??= setTimeout(() => this.#announce(), COALESCE_MS);
  }

  /** Begins to pass on what authz replicas confirm. @returns a function that ends it */
  follow(): () => void {
    const confirm = (): void => {
      const revisions = this.#board.live('authz').map((replica) => replica.routingRevision);
      // Without a live authz replica nothing passes Envoy anyway, so nobody is waited for.
      this.#controlPlane.confirm(revisions.length === 0 ? undefined : Math.min(...revisions));
    };
    const stop = this.#board.onChange(confirm);
    confirm();
    this.#announce();
    return () => {
      stop();
      clearTimeout(this.#timer);
    };
  }

  #announce(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const oldestStamp = this.#controlPlane.oldestStamp();
    this.#board.announce({
      role: 'xds',
      replica: this.#replica,
      routingRevision: this.#controlPlane.newestRevision,
      ...(oldestStamp === undefined ? {} : { oldestStamp }),
      envoys: this.#controlPlane.envoys(),
    });
  }
}
