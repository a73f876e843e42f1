import { LIMITS } from '#domain/limits.ts';
import type { ReplicaFacts, ReplicaRole, ReplicaState } from '#ports/replica-board.ts';
import { Channel, type World } from '../model/world.ts';

/** A replica board in simulated time: what one process heard of the others. */
export class PresenceBoard {
  readonly #world: World;
  readonly #states = new Map<string, ReplicaState>();
  readonly #listeners = new Set<() => void>();

  constructor(world: World) {
    this.#world = world;
  }

  live(role: ReplicaRole): readonly ReplicaState[] {
    const oldestMs = this.#world.nowMs - LIMITS.replicaLeaseMs;
    return [...this.#states.values()].filter((state) => state.role === role && state.seenAtMs >= oldestMs);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hear(facts: ReplicaFacts): void {
    this.#states.set(facts.replica, { ...facts, seenAtMs: this.#world.nowMs });
    this.#notify();
    this.#world.scheduler.after(LIMITS.replicaLeaseMs + 1, () => this.#notify());
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** A process on the presence bus. Its board is a new one after each start, and nothing is heard while it is down. */
export interface Listener {
  readonly name: string;
  board(): PresenceBoard | undefined;
  announce(): void;
}

/** Announcements between processes: in order for each pair, late, and lost when the receiver is down. */
export class PresenceBus {
  readonly #world: World;
  readonly #listeners: Listener[] = [];
  readonly #channels = new Map<string, Channel<() => void>>();
  readonly #cutUntilMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** For a while nothing is heard of this one, nor by it. */
  cut(name: string, lastingMs: number): void {
    this.#cutUntilMs.set(name, this.#world.nowMs + lastingMs);
  }

  isCut(name: string): boolean {
    return (this.#cutUntilMs.get(name) ?? 0) > this.#world.nowMs;
  }

  /** Announces every second from now on, as long as it is up. */
  join(listener: Listener): void {
    this.#listeners.push(listener);
    const again = (): void => {
      listener.announce();
      this.#world.scheduler.after(LIMITS.replicaAnnounceEveryMs, again);
    };
    this.#world.scheduler.after(this.#world.random.between(0, LIMITS.replicaAnnounceEveryMs), again);
  }

  tell(facts: ReplicaFacts): void {
    for (const listener of this.#listeners) {
      this.#send(facts.replica, listener.name, () => listener.board()?.hear(facts));
    }
  }

  /** Asks all others to announce themselves. */
  poll(asker: string): void {
    for (const listener of this.#listeners) this.#send(asker, listener.name, () => listener.announce());
  }

  #send(from: string, to: string, deliver: () => void): void {
    if (from === to || this.isCut(from)) return;
    this.#channel(from, to).send(() => {
      if (!this.isCut(to)) deliver();
    });
  }

  #channel(from: string, to: string): Channel<() => void> {
    const key = `${from} ${to}`;
    const channel = this.#channels.get(key) ?? new Channel<() => void>(this.#world, (deliver) => deliver());
    this.#channels.set(key, channel);
    return channel;
  }
}
