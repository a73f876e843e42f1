import type { XdsReplica } from '../replicas/xds-replica.ts';
import { EnvoyState } from './envoy.ts';
import { type Client, type Sabotage, Stream } from './stream.ts';
import type { World } from './world.ts';

const BACK_OFF_MAX_MS = 500;
/** A stream that breaks without a word is noticed by the server's pings. */
const HALF_OPEN_MAX_MS = 35_000;

/** One Envoy process on the network: it always tries to have a stream to one of the replicas. */
export class EnvoyLink implements Client {
  readonly name: string;
  readonly number: number;
  readonly refusedStamps = new Set<number>();
  readonly #world: World;
  readonly #replicas: readonly XdsReplica[];
  readonly #sabotage: Sabotage;
  #state: EnvoyState;
  #stream: Stream | undefined;
  #isFirstRequest = true;
  #willFlush = false;
  #willConnect = false;
  #slowUntilMs = 0;

  constructor(options: {
    readonly world: World;
    readonly number: number;
    readonly replicas: readonly XdsReplica[];
    readonly sabotage: Sabotage;
  }) {
    this.#world = options.world;
    this.number = options.number;
    this.name = `envoy-${options.number}`;
    this.#replicas = options.replicas;
    this.#sabotage = options.sabotage;
    this.#state = this.#newState();
    this.#connectLater();
  }

  get state(): EnvoyState {
    return this.#state;
  }

  get stream(): Stream | undefined {
    return this.#stream;
  }

  readonly readsAtMs = (): number => this.#slowUntilMs;

  readonly reads = (response: Parameters<EnvoyState['read']>[0]): void => {
    this.#world.trace(() => `${this.name} reads ${response.type} #${response.nonce}`);
    this.#state.read(response);
  };

  readonly ended = (stream: Stream): void => {
    if (stream !== this.#stream) return;
    this.#world.trace(() => `${this.name} has lost its stream`);
    this.#stream = undefined;
    this.#connectLater();
  };

  /** Reads nothing for a while. */
  slowDown(lastingMs: number): void {
    this.#slowUntilMs = this.#world.nowMs + lastingMs;
  }

  /** Breaks off and connects anew, to whichever replica. */
  reconnect(): void {
    const { random } = this.#world;
    this.#world.trace(() => `${this.name} breaks off`);
    this.#stream?.cutByClient(random.chance(0.9) ? this.#world.delayMs() : random.between(0, HALF_OPEN_MAX_MS));
    this.#stream = undefined;
    this.#connectLater();
  }

  /** A new process that holds nothing. */
  restart(): void {
    this.#world.trace(() => `${this.name} restarts`);
    this.#state = this.#newState();
    this.reconnect();
  }

  #newState(): EnvoyState {
    const { number, name, refusedStamps } = this;
    return new EnvoyState({ world: this.#world, name, number, refusedStamps, flush: () => this.#flushLater() });
  }

  #connectLater(): void {
    if (this.#willConnect) return;
    this.#willConnect = true;
    this.#world.scheduler.after(this.#world.random.between(1, BACK_OFF_MAX_MS), () => {
      this.#willConnect = false;
      this.#connect();
    });
  }

  #connect(): void {
    const replica = this.#world.random.pick(this.#replicas);
    const plane = replica?.plane;
    const siblings = replica?.streams();
    if (replica === undefined || plane === undefined || siblings === undefined) {
      this.#connectLater();
      return;
    }
    this.#world.trace(() => `${this.name} connects to ${replica.name}`);
    this.#isFirstRequest = true;
    this.#stream = new Stream({
      world: this.#world,
      client: this,
      plane,
      replica: replica.name,
      siblings,
      sabotage: this.#sabotage,
    });
    this.#state.reconnect();
  }

  #flushLater(): void {
    if (this.#willFlush) return;
    this.#willFlush = true;
    const { random } = this.#world;
    const delayMs = random.chance(0.05) ? random.between(0, 200) : random.between(0, 1);
    this.#world.scheduler.after(delayMs, () => {
      this.#willFlush = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#stream === undefined) return;
    for (const request of this.#state.subscriptions.requests(this.name)) {
      this.#world.trace(() => {
        const { nonce, error, subscribe, unsubscribe, initialVersions } = request;
        const type = request.typeUrl.slice(request.typeUrl.lastIndexOf('.') + 1);
        return `${this.name} says ${type} ${JSON.stringify({ nonce, error, subscribe, unsubscribe, initialVersions })}`;
      });
      this.#stream.request(this.#isFirstRequest ? request : { ...request, nodeId: undefined });
      this.#isFirstRequest = false;
    }
  }
}
