import { clusterName } from '#domain/ids.ts';
import { Announcer } from '../../../xds/announcer.ts';
import { ControlPlane } from '../../../xds/control-plane.ts';
import { stampPrefix } from '../../../xds/snapshot/resource.ts';
import { clusterText, endpointsText } from '../model/history.ts';
import type { Stream } from '../model/stream.ts';
import { plainResource } from '../model/wire.ts';
import type { World } from '../model/world.ts';
import { Follower } from './follower.ts';
import { PresenceBoard, type PresenceBus } from './presence.ts';

/** Loading a revision at the start. */
const LOAD_MAX_MS = 60;

interface Life {
  readonly plane: ControlPlane;
  readonly board: PresenceBoard;
  readonly announcer: Announcer;
  readonly streams: Set<Stream>;
  follower?: Follower;
}

/** An xds replica: the real control plane, wired as the program wires it, in simulated time. */
export class XdsReplica {
  readonly name: string;
  readonly #world: World;
  readonly #bus: PresenceBus;
  #life: Life | undefined;
  /** What to call when the way to the others is there again after a break that was noticed. */
  #onConnected: () => void = () => undefined;
  #isBreakNoticed = false;

  constructor(world: World, bus: PresenceBus, name: string) {
    this.#world = world;
    this.#bus = bus;
    this.name = name;
    bus.join(this);
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** The control plane while streams are accepted. */
  get plane(): ControlPlane | undefined {
    return this.#life?.plane.isReady === true ? this.#life.plane : undefined;
  }

  board(): PresenceBoard | undefined {
    return this.#life?.board;
  }

  start(): void {
    const world = this.#world;
    const isThisLife = (): boolean => this.#life === life;
    const plane = this.#makePlane(isThisLife);
    const board = new PresenceBoard(world);
    const life: Life = { board, streams: new Set(), plane, announcer: this.#makeAnnouncer(plane, board, isThisLife) };
    this.#life = life;
    this.#isBreakNoticed = false;
    life.announcer.follow();
    this.#bus.poll(this.name);
    life.plane.putSecret({ name: 'edge', json: 'certificate 1' });
    world.scheduler.after(world.random.between(0, LOAD_MAX_MS), () => {
      if (!isThisLife()) return;
      this.#apply(life, world.history.newestNumber);
      life.follower = new Follower(world, world.history.newestNumber, (revision) => this.#apply(life, revision));
    });
  }

  kill(): void {
    const life = this.#life;
    this.#life = undefined;
    life?.follower?.stop();
    for (const stream of [...(life?.streams ?? [])]) stream.cutByServer();
  }

  look(): void {
    this.#life?.follower?.look();
  }

  lag(lastingMs: number): void {
    this.#life?.follower?.pause(lastingMs);
  }

  renewSecret(content: string): void {
    this.#life?.plane.putSecret({ name: 'edge', json: content });
  }

  /** Streams end with the process. */
  streams(): Set<Stream> | undefined {
    return this.#life?.streams;
  }

  /** It can reach neither the store nor the others for a while, and goes on serving; it may not notice. */
  cut(lastingMs: number): void {
    this.#bus.cut(this.name, lastingMs);
    this.lag(lastingMs);
    const life = this.#life;
    this.#isBreakNoticed = this.#world.random.chance(0.6);
    this.#world.scheduler.after(lastingMs, () => {
      if (life !== this.#life || !this.#isBreakNoticed || this.#bus.isCut(this.name)) return;
      this.#isBreakNoticed = false;
      this.#onConnected();
    });
  }

  announce(): void {
    this.#life?.announcer.request();
  }

  #apply(life: Life, revision: number): void {
    if (life !== this.#life) return;
    this.#world.trace(() => `${this.name} applies revision ${revision}`);
    life.plane.applyRevision(this.#world.history.at(revision).snapshot);
    this.announce();
  }

  #makeAnnouncer(plane: ControlPlane, board: PresenceBoard, isThisLife: () => boolean): Announcer {
    const world = this.#world;
    return new Announcer({
      controlPlane: plane,
      replica: this.name,
      nowMs: () => world.nowMs,
      schedule: (delayMs, task) => {
        let isDue = true;
        world.scheduler.after(delayMs, () => {
          if (isDue && isThisLife()) task();
        });
        return () => {
          isDue = false;
        };
      },
      board: {
        announce: (facts) => this.#bus.tell(facts),
        live: (role) => board.live(role),
        onChange: (listener) =>
          board.onChange(() => {
            if (isThisLife()) listener();
          }),
      },
      link: {
        isConnected: () => !this.#isBreakNoticed,
        onConnected: (listener) => {
          this.#onConnected = listener;
          listener();
          return () => undefined;
        },
      },
    });
  }

  #makePlane(isThisLife: () => boolean): ControlPlane {
    const world = this.#world;
    return new ControlPlane({
      routeName: 'gateway',
      translateCluster: (kind, name, shard) => ({ name: clusterName(kind, name), json: clusterText(shard) }),
      translateEndpoints: (kind, name, shard) => {
        const json = endpointsText(shard);
        return json === undefined ? undefined : { name: clusterName(kind, name), json };
      },
      encode: (_type, { name, json }) => plainResource(name, String(json)),
      encodeRoutes: (stamp) => plainResource('gateway', stampPrefix(stamp)),
      listeners: [{ name: 'edge-tls', json: 'listener' }],
      nowMs: () => world.nowMs,
      schedule: (delayMs, task) =>
        world.scheduler.after(delayMs, () => {
          if (isThisLife()) task();
        }),
      onEnvoysChanged: () => this.announce(),
      onEvent: ({ node }, event) => {
        if (event.kind === 'rejected') {
          world.trace(() => `${this.name} hears that ${node} rejects ${event.type} ${event.names.join()}`);
        }
      },
    });
  }
}
