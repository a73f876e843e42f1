import { LIMITS } from '#domain/limits.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { SnapshotKeeper, type StampedRouting } from '../../../src/authz/ext-authz/snapshot-keeper.ts';
import type { World } from '../model/world.ts';
import { Follower } from './follower.ts';
import { PresenceBoard, type PresenceBus } from './presence.ts';

/** One life of an authz process. */
interface Life {
  readonly board: PresenceBoard;
  readonly keeper: SnapshotKeeper;
  readonly follower: Follower;
  /** Every revision it was given: what it should be able to decide by. */
  readonly seen: Set<number>;
}

/** Whether a process once held a revision, or why not. */
export type HeldHistory = 'held' | 'before its start' | 'skipped' | 'not yet';

function historyOf({ seen, keeper }: Life, stamp: number): HeldHistory {
  if (seen.has(stamp)) return 'held';
  if (stamp > keeper.newestRevision()) return 'not yet';
  return stamp < Math.min(...seen) ? 'before its start' : 'skipped';
}

/** An authz replica as the stamp discipline knows it: the real snapshot keeper, fed by the modelled store. */
export class AuthzReplica {
  readonly name: string;
  readonly #world: World;
  readonly #bus: PresenceBus;
  #life: Life | undefined;

  constructor(world: World, bus: PresenceBus, name: string) {
    this.#world = world;
    this.#bus = bus;
    this.name = name;
    bus.join(this);
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** Whether it decides: it is up and holds a revision. */
  get isReady(): boolean {
    return this.#life !== undefined && this.#life.seen.size > 0;
  }

  board(): PresenceBoard | undefined {
    return this.#life?.board;
  }

  start(): void {
    const world = this.#world;
    const board = new PresenceBoard(world);
    const listeners = new Set<(snapshot: RoutingSnapshot) => void>();
    const keeper = new SnapshotKeeper({
      source: {
        current: () => undefined,
        onRevision: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
      board,
      clock: { nowMs: () => world.nowMs },
    });
    const seen = new Set<number>();
    const take = (revision: number): void => {
      seen.add(revision);
      for (const listener of listeners) listener(world.history.at(revision).snapshot);
      world.trace(() => `${this.name} holds revision ${revision}`);
      this.announce();
    };
    // It starts with the newest revision that there is.
    const follower = new Follower(world, world.history.newestNumber - 1, take);
    this.#life = { board, keeper, follower, seen };
    this.#bus.poll(this.name);
  }

  kill(): void {
    this.#life?.follower.stop();
    this.#life = undefined;
  }

  look(): void {
    this.#life?.follower.look();
  }

  lag(lastingMs: number): void {
    this.#life?.follower.pause(lastingMs);
  }

  /** It can reach neither the store nor the others for a while, and goes on deciding. */
  cut(lastingMs: number): void {
    this.#bus.cut(this.name, lastingMs);
    this.lag(lastingMs);
  }

  announce(): void {
    if (this.#life === undefined) return;
    this.#bus.tell({ role: 'authz', replica: this.name, routingRevision: this.#life.keeper.newestRevision() });
  }

  /**
   * Answers by the revision of a stamp, as soon as it is there or the wait is over; undefined when the process is not.
   */
  decide(stamp: number, answer: (routing: StampedRouting | undefined, history: HeldHistory) => void): void {
    const life = this.#life;
    if (life === undefined) {
      answer(undefined, 'before its start');
      return;
    }
    let isOpen = true;
    const tell = (isLast: boolean): void => {
      const routing = life.keeper.at(stamp);
      if (!isOpen || (routing.state === 'ahead' && !isLast)) return;
      isOpen = false;
      answer(life === this.#life ? routing : undefined, historyOf(life, stamp));
    };
    tell(false);
    if (!isOpen) return;
    const unsubscribe = life.keeper.onRevision(() => tell(false));
    this.#world.scheduler.after(LIMITS.stampWaitMaxMs, () => {
      unsubscribe();
      tell(true);
    });
  }
}
