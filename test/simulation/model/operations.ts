import type { ServiceKind } from '#domain/ids.ts';
import { clusterName } from '#domain/ids.ts';
import type { PlacementChange, Shard } from '#domain/routing/types.ts';
import type { AuthzReplica } from '../replicas/authz-replica.ts';
import type { XdsReplica } from '../replicas/xds-replica.ts';
import type { EnvoyLink } from './envoy-link.ts';
import { badHealth, badWeight, clusterText } from './history.ts';
import type { World } from './world.ts';

const KINDS = ['aggregate', 'projection'] as const;
const SHARD_NAMES = ['s1', 's2', 's3', 's4', 's5'];
export const TENANTS: readonly string[] = ['t1', 't2', 't3', 't4', 't5', 't6', 't7'];

export interface Actors {
  readonly world: World;
  readonly xds: readonly XdsReplica[];
  readonly authz: readonly AuthzReplica[];
  readonly envoys: readonly EnvoyLink[];
}

/** What an operator, a network and a bad day do; each is one operation, by the weight of how often. */
const WEIGHTS = [
  ['add', 8],
  ['addAndMove', 6],
  ['endpoints', 5],
  ['cluster', 4],
  ['resolved', 1],
  ['move', 10],
  ['moveMany', 2],
  ['remove', 8],
  ['removeAndAdd', 2],
  ['bad', 3],
  ['badNew', 2],
  ['fix', 5],
  ['refuseStamp', 1],
  ['rollback', 2],
  ['secret', 1],
  ['killXds', 2],
  ['killAuthz', 2],
  ['reconnect', 5],
  ['restartEnvoy', 1],
  ['slowEnvoy', 3],
  ['burst', 2],
  ['lagXds', 3],
  ['lagAuthz', 2],
  ['cutXds', 2],
  ['cutAuthz', 2],
] as const;

type Operation = (typeof WEIGHTS)[number][0];
type ShardChange = readonly [kind: ServiceKind, name: string, shard: Shard | undefined];

/** Random operations on the whole system. */
export class Operations {
  readonly #actors: Actors;
  readonly #world: World;

  constructor(actors: Actors) {
    this.#actors = actors;
    this.#world = actors.world;
  }

  /** Does one of them; some do nothing when there is nothing to do them to. */
  step(): void {
    const name = this.#world.random.weighted(WEIGHTS);
    if (name === undefined) return;
    this.#world.trace(() => `--- ${name}`);
    this.#steps[name]();
  }

  /** Corrects every shard that somebody refuses, and makes sure that the newest stamp is refused by nobody. */
  repair(): void {
    const changes = this.#shards().filter(([, , shard]) => isBad(shard));
    this.#publish(changes.map(([kind, name]) => [kind, name, this.#goodShard()]));
    for (const { refusedStamps } of this.#actors.envoys) refusedStamps.delete(this.#world.history.newestNumber);
  }

  readonly #steps: Readonly<Record<Operation, () => void>> = {
    add: () => this.#add(this.#goodShard(), false),
    addAndMove: () => this.#add(this.#goodShard(), true),
    endpoints: () => this.#change((shard) => ({ ...shard, endpoints: this.#goodShard().endpoints })),
    cluster: () => this.#change((shard) => ({ ...shard, protocol: shard.protocol === 'h2' ? 'http1' : 'h2' })),
    resolved: () => this.#change((shard) => ({ ...shard, endpoints: [{ address: 'a.test', port: 1, weight: 1 }] })),
    move: () => this.#publish([], [this.#move()]),
    moveMany: () => {
      for (let count = this.#world.random.whole(2, 12); count > 0; count -= 1) this.#publish([], [this.#move()]);
    },
    remove: () => this.#remove(),
    removeAndAdd: () => {
      const removed = this.#remove();
      if (removed !== undefined) this.#publish([removed]);
    },
    bad: () => this.#change((shard) => this.#spoil(shard)),
    badNew: () => this.#add(this.#spoil(this.#goodShard()), false),
    fix: () => this.repair(),
    refuseStamp: () => this.#pick(this.#actors.envoys)?.refusedStamps.add(this.#world.history.newestNumber + 1),
    rollback: () => {
      const { history, random } = this.#world;
      const to = history.newestNumber - random.whole(1, 4);
      if (to < 1) return;
      history.rollback(to);
      this.#tellAll();
    },
    secret: () => {
      const content = `certificate ${this.#world.nowMs}`;
      for (const replica of this.#actors.xds) replica.renewSecret(content);
    },
    killXds: () => this.#kill(this.#pick(this.#actors.xds)),
    killAuthz: () => this.#kill(this.#pick(this.#actors.authz)),
    reconnect: () => this.#pick(this.#actors.envoys)?.reconnect(),
    restartEnvoy: () => this.#pick(this.#actors.envoys)?.restart(),
    slowEnvoy: () => this.#pick(this.#actors.envoys)?.slowDown(this.#duration()),
    burst: () => this.#world.slowDown(this.#world.random.between(50, 2_000), this.#world.random.between(5, 400)),
    lagXds: () => this.#pick(this.#actors.xds)?.lag(this.#duration()),
    lagAuthz: () => this.#pick(this.#actors.authz)?.lag(this.#duration()),
    cutXds: () => this.#pick(this.#actors.xds)?.cut(this.#duration()),
    cutAuthz: () => this.#pick(this.#actors.authz)?.cut(this.#duration()),
  };

  #duration(): number {
    const { random } = this.#world;
    return random.chance(0.2) ? random.between(1_000, 8_000) : random.between(5, 600);
  }

  #kill(replica: XdsReplica | AuthzReplica | undefined): void {
    if (replica === undefined || !replica.isUp) return;
    this.#world.trace(() => `${replica.name} dies`);
    replica.kill();
    this.#world.scheduler.after(this.#duration(), () => {
      this.#world.trace(() => `${replica.name} starts`);
      if (!replica.isUp) replica.start();
    });
  }

  #add(shard: Shard, withTenant: boolean): void {
    const kind = this.#pick(KINDS) ?? 'aggregate';
    const directory = this.#world.history.newest.snapshot.shards[kind];
    const name = this.#pick(SHARD_NAMES.filter((each) => !directory.has(each)));
    if (name === undefined) return;
    const tenant = this.#pick(TENANTS) ?? '';
    this.#publish([[kind, name, shard]], withTenant ? [{ tenant, [kind]: name }] : []);
  }

  /** Takes away a shard that no tenant is placed on, as validation demands. */
  #remove(): ShardChange | undefined {
    const { used } = this.#world.history.newest;
    const found = this.#pick(this.#shards().filter(([kind, name]) => !used.has(clusterName(kind, name))));
    if (found === undefined) return undefined;
    const [kind, name] = found;
    this.#publish([[kind, name, undefined]]);
    return found;
  }

  #change(by: (shard: Shard) => Shard): void {
    const found = this.#pick(this.#shards());
    if (found !== undefined) this.#publish([[found[0], found[1], by(found[2])]]);
  }

  #spoil(shard: Shard): Shard {
    const { random } = this.#world;
    const whom = random.whole(0, this.#actors.envoys.length);
    if (random.chance(0.6)) return { ...shard, health: badHealth(whom) };
    return { ...shard, endpoints: [{ address: '10.0.0.9', port: random.whole(1, 9), weight: badWeight(whom) }] };
  }

  #goodShard(): Shard {
    const { random } = this.#world;
    const endpoints = [{ address: '10.0.0.1', port: random.whole(1, 6), weight: 1 }];
    return { endpoints, protocol: random.chance(0.7) ? 'h2' : 'http1' };
  }

  #move(): PlacementChange {
    const tenant = this.#pick(TENANTS) ?? '';
    const found = this.#pick(this.#shards());
    return found === undefined ? { tenant } : { tenant, [found[0]]: found[1] };
  }

  #shards(): readonly (readonly [ServiceKind, string, Shard])[] {
    const { shards } = this.#world.history.newest.snapshot;
    return KINDS.flatMap((kind) => [...shards[kind]].map(([name, shard]) => [kind, name, shard] as const));
  }

  #publish(shards: readonly ShardChange[], moves: readonly PlacementChange[] = []): void {
    this.#world.history.publish({ shards, moves });
    this.#world.trace(() => {
      const changes = shards.map(([kind, name, shard]) => `${kind}/${name}=${shard ? clusterText(shard) : 'gone'}`);
      return `published ${this.#world.history.newestNumber}: ${changes.join()} ${JSON.stringify(moves)}`;
    });
    this.#tellAll();
  }

  #tellAll(): void {
    for (const replica of [...this.#actors.xds, ...this.#actors.authz]) replica.look();
  }

  #pick<Value>(values: readonly Value[]): Value | undefined {
    return this.#world.random.pick(values);
  }
}

const isBad = (shard: Shard): boolean =>
  shard.health !== undefined || shard.endpoints.some(({ weight }) => weight >= badWeight(0));
