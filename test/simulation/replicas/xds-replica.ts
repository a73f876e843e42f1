import { clusterName } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { ControlPlane } from '../../../xds/control-plane.ts';
import { stampPrefix } from '../../../xds/snapshot/resource.ts';
import { clusterText, endpointsText } from '../model/history.ts';
import type { Stream } from '../model/stream.ts';
import { plainResource } from '../model/wire.ts';
import type { World } from '../model/world.ts';
import { Follower } from './follower.ts';
import { PresenceBoard, type PresenceBus } from './presence.ts';

/** Announcements of one replica follow each other at this distance. */
const ANNOUNCE_DISTANCE_MS = 10;
/** Loading a revision at the start. */
const LOAD_MAX_MS = 60;

interface Life {
  readonly startedAtMs: number;
  readonly plane: ControlPlane;
  readonly board: PresenceBoard;
  readonly streams: Set<Stream>;
  follower?: Follower;
}

/** An xds replica: the real control plane, wired as the program wires it, in simulated time. */
export class XdsReplica {
  readonly name: string;
  readonly #world: World;
  readonly #bus: PresenceBus;
  #life: Life | undefined;
  #willAnnounce = false;

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
    const board = new PresenceBoard(world);
    const isThisLife = (): boolean => this.#life === life;
    const life: Life = {
      startedAtMs: world.nowMs,
      board,
      streams: new Set(),
      plane: this.#makePlane(isThisLife),
    };
    this.#life = life;
    const confirm = (): void => {
      if (isThisLife()) this.#confirm(life);
    };
    board.onChange(confirm);
    this.#bus.poll(this.name);
    life.plane.putSecret({ name: 'edge', json: 'certificate 1' });
    confirm();
    world.scheduler.after(LIMITS.replicaLeaseMs, confirm);
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

  announce(): void {
    if (this.#life === undefined) return;
    const { plane } = this.#life;
    const oldestStamp = plane.oldestStamp();
    this.#bus.tell({
      role: 'xds',
      replica: this.name,
      routingRevision: plane.newestRevision,
      ...(oldestStamp === undefined ? {} : { oldestStamp }),
      envoys: plane.envoys(),
    });
  }

  /** As the announcer of the program: in the first lease a replica that is not heard may still be there. */
  #confirm({ plane, board, startedAtMs }: Life): void {
    const revisions = board.live('authz').map(({ routingRevision }) => routingRevision);
    const isListening = this.#world.nowMs < startedAtMs + LIMITS.replicaLeaseMs;
    if (revisions.length === 0 && isListening && plane.isReady) plane.confirm(plane.stampTarget);
    else plane.confirm(revisions.length === 0 ? undefined : Math.min(...revisions));
  }

  #apply(life: Life, revision: number): void {
    if (life !== this.#life) return;
    this.#world.trace(() => `${this.name} applies revision ${revision}`);
    life.plane.applyRevision(this.#world.history.at(revision).snapshot);
    this.#announceSoon();
  }

  #announceSoon(): void {
    if (this.#willAnnounce) return;
    this.#willAnnounce = true;
    this.#world.scheduler.after(ANNOUNCE_DISTANCE_MS, () => {
      this.#willAnnounce = false;
      this.announce();
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
      onEnvoysChanged: () => this.#announceSoon(),
      onEvent: ({ node }, event) => {
        if (event.kind === 'rejected') {
          world.trace(() => `${this.name} hears that ${node} rejects ${event.type} ${event.names.join()}`);
        }
      },
    });
  }
}
