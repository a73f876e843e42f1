import { History } from './history.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';

/** Something happened that must never happen. */
export class InvariantBroken extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvariantBroken';
  }
}

const TRACE_LINES_MAX_COUNT = 20_000;

/** What every modelled process shares: time, chance, the published revisions, the network and the trace. */
export class World {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly history = new History();
  /** The last things that happened; kept only in a run that replays a failure. */
  readonly traced: string[] = [];
  /** When a server said something last. */
  saidAtMs = 0;
  readonly #isTracing: boolean;
  #burstUntilMs = 0;
  #burstMs = 0;

  constructor(seed: number, isTracing: boolean) {
    this.random = new Random(seed);
    this.#isTracing = isTracing;
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  trace(line: () => string): void {
    if (!this.#isTracing) return;
    this.traced.push(`${this.nowMs.toFixed(2).padStart(10)} ms  ${line()}`);
    if (this.traced.length > TRACE_LINES_MAX_COUNT) this.traced.shift();
  }

  check(holds: boolean, broken: () => string): void {
    if (!holds) throw new InvariantBroken(broken());
  }

  /** How long one message takes now. */
  delayMs(): number {
    const { random } = this;
    if (this.nowMs < this.#burstUntilMs) return random.between(0, this.#burstMs);
    return random.chance(0.02) ? random.between(3, 40) : random.between(0.05, 2);
  }

  /** For a while messages take long. */
  slowDown(lastingMs: number, delayMaxMs: number): void {
    this.#burstUntilMs = this.nowMs + lastingMs;
    this.#burstMs = delayMaxMs;
  }

  /** The network is as it should be from now on. */
  calmDown(): void {
    this.#burstUntilMs = 0;
  }
}

/** One direction of a connection: messages arrive late, in their order, and not at all after it has been closed. */
export class Channel<Message> {
  readonly #world: World;
  readonly #deliver: (message: Message) => void;
  #lastAtMs = 0;
  #isClosed = false;

  constructor(world: World, deliver: (message: Message) => void) {
    this.#world = world;
    this.#deliver = deliver;
  }

  /** @param notBeforeMs when the receiver reads again, if it does not now */
  send(message: Message, notBeforeMs = 0): void {
    const { nowMs } = this.#world;
    this.#lastAtMs = Math.max(this.#lastAtMs, nowMs + this.#world.delayMs(), notBeforeMs);
    this.#world.scheduler.after(this.#lastAtMs - nowMs, () => {
      if (!this.#isClosed) this.#deliver(message);
    });
  }

  close(): void {
    this.#isClosed = true;
  }
}
