import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { ControlPlane } from './control-plane.ts';

/** Announcements follow each other at this distance at least; the first after a quiet time is made at once. */
const DISTANCE_MS = 10;

/** Exchanges with the replica board: tells of the Envoys served here, and hears how far the authz replicas are. */
export class Announcer {
  readonly #board: ReplicaBoard;
  readonly #controlPlane: ControlPlane;
  readonly #replica: string;
  #timer: NodeJS.Timeout | undefined;
  #announcedAtMs = 0;

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
    const waitMs = this.#announcedAtMs + DISTANCE_MS - performance.now();
    this.#timer ??= setTimeout(() => this.#announce(), Math.max(0, waitMs));
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
    this.#announcedAtMs = performance.now();
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
