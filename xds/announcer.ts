import { LIMITS } from '#domain/limits.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { ControlPlane } from './control-plane.ts';

/** Announcements follow each other at this distance at least; the first after a quiet time is made at once. */
const DISTANCE_MS = 4;

export interface AnnouncerOptions {
  readonly board: Pick<ReplicaBoard, 'announce' | 'live' | 'onChange'>;
  readonly controlPlane: Pick<
    ControlPlane,
    'confirm' | 'isReady' | 'stampTarget' | 'oldestStamp' | 'newestRevision' | 'envoys' | 'quarantined'
  >;
  readonly replica: string;
  /** Whether this replica can ask an Envoy about shards. */
  readonly validator?: boolean;
  /** The way to the board; the listener is called each time it was made, and at once when it is there. */
  readonly link: { isConnected(): boolean; onConnected(listener: () => void): () => void };
  readonly nowMs: () => number;
  /** Runs a task after a while. @returns a function that prevents it */
  readonly schedule: (delayMs: number, task: () => void) => () => void;
}

/** Exchanges with the replica board: tells of the Envoys served here, and hears how far the authz replicas are. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  /** Prevents the next announcement; undefined while none is due. */
  #prevent: (() => void) | undefined;
  #announcedAtMs = 0;
  #stopListening: () => void = () => undefined;
  /** Whether the board has been reached for so long that a replica not heard of is none. */
  #silenceCounts = false;
  /** The authz replicas heard of last, before anything was in doubt. */
  #expected: ReadonlySet<string> = new Set();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Tells the board what is true in a moment; many calls are one announcement. */
  request(): void {
    const { schedule, nowMs } = this.#options;
    const waitMs = this.#announcedAtMs + DISTANCE_MS - nowMs();
    this.#prevent ??= schedule(Math.max(0, waitMs), () => this.#announce());
  }

  /** Begins to pass on what authz replicas confirm. @returns a function that ends it */
  follow(): () => void {
    const stopHearing = this.#options.board.onChange(() => this.#confirm());
    this.#confirm();
    const stopConnected = this.#options.link.onConnected(() => this.#listen());
    this.#announce();
    return () => {
      stopHearing();
      stopConnected();
      this.#prevent?.();
      this.#stopListening();
    };
  }

  /** At the start, after a break and when all fell silent: replicas get the time of a lease to be heard of. */
  #listen(): void {
    this.#stopListening();
    this.#silenceCounts = false;
    this.#stopListening = this.#options.schedule(LIMITS.replicaLeaseMs, () => {
      // Cut off: the next connection listens anew.
      if (!this.#options.link.isConnected()) return;
      this.#silenceCounts = true;
      this.#expected = new Set();
      this.#confirm();
    });
    this.#confirm();
  }

  #confirm(): void {
    const { board, controlPlane } = this.#options;
    const replicas = board.live('authz');
    const heard = new Set(replicas.map(({ replica }) => replica));
    const isMissingSome = heard.size === 0 || this.#expected.difference(heard).size > 0;
    // Nobody at all: the replicas have gone, or NATS has and it was not noticed yet.
    if (heard.size === 0 && this.#expected.size > 0 && this.#silenceCounts) {
      this.#listen();
      return;
    }
    // A revision must not be stamped because those who lack it are not heard: the stamp in force stays.
    if (isMissingSome && !this.#silenceCounts && controlPlane.isReady) {
      controlPlane.confirm(controlPlane.stampTarget);
      return;
    }
    this.#expected = heard;
    // Without a live authz replica nothing passes Envoy anyway, so nobody is waited for.
    const revisions = replicas.map(({ routingRevision }) => routingRevision);
    controlPlane.confirm(heard.size === 0 ? undefined : Math.min(...revisions));
  }

  #announce(): void {
    const { board, controlPlane, replica, validator, nowMs } = this.#options;
    this.#prevent?.();
    this.#prevent = undefined;
    this.#announcedAtMs = nowMs();
    const oldestStamp = controlPlane.oldestStamp();
    const quarantined = controlPlane.quarantined().slice(-LIMITS.quarantinedToldMaxCount);
    board.announce({
      role: 'xds',
      replica,
      routingRevision: controlPlane.newestRevision,
      ...(oldestStamp === undefined ? {} : { oldestStamp }),
      envoys: controlPlane.envoys(),
      ...(quarantined.length === 0 ? {} : { quarantined }),
      ...(validator === true ? { validator } : {}),
    });
  }
}
