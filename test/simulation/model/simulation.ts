import { AuthzReplica } from '../replicas/authz-replica.ts';
import { PresenceBus } from '../replicas/presence.ts';
import { XdsReplica } from '../replicas/xds-replica.ts';
import { EnvoyLink } from './envoy-link.ts';
import { type Actors, Operations, TENANTS } from './operations.ts';
import { type Outcome, Requests } from './requests.ts';
import type { Sabotage } from './stream.ts';
import { InvariantBroken, World } from './world.ts';

/** After the last operation: longer than every lag, lease, grace and back-off that may still run. */
const QUIET_MS = 60_000;
/** At the end of it nothing is said any more: whoever repeats itself then would do so for ever. */
const REST_MS = 15_000;

export interface Run {
  readonly outcomes: ReadonlyMap<Outcome, number>;
  readonly failure: string | undefined;
  readonly traced: readonly string[];
}

/** One run of the whole system by a seed. */
export function simulate(seed: number, options: { readonly sabotage?: Sabotage; readonly trace?: boolean } = {}): Run {
  const world = new World(seed, options.trace === true);
  const bus = new PresenceBus(world);
  const xds = ['xds-1', 'xds-2'].map((name) => new XdsReplica(world, bus, name));
  const names = world.random.chance(0.7) ? ['authz-1', 'authz-2'] : ['authz-1'];
  const authz = names.map((name) => new AuthzReplica(world, bus, name));
  const envoys = Array.from({ length: world.random.whole(1, 5) }, (_, index) => {
    return new EnvoyLink({ world, number: index + 1, replicas: xds, sabotage: options.sabotage ?? {} });
  });
  const actors: Actors = { world, xds, authz, envoys };
  const requests = new Requests(world, authz, TENANTS);
  try {
    play(actors, requests);
    checkConvergence(actors);
  } catch (error) {
    if (!(error instanceof InvariantBroken)) throw error;
    return { outcomes: requests.outcomes, failure: error.message, traced: world.traced };
  }
  return { outcomes: requests.outcomes, failure: undefined, traced: world.traced };
}

function play({ world, xds, authz, envoys }: Actors, requests: Requests): void {
  const { random, scheduler } = world;
  const operations = new Operations({ world, xds, authz, envoys });
  for (const replica of [...authz, ...xds]) scheduler.after(random.between(0, 20), () => replica.start());
  if (random.chance(0.9)) operations.repair();
  let isBusy = true;
  for (const envoy of envoys) {
    const again = (): void => {
      requests.begin(envoy);
      if (isBusy) scheduler.after(random.chance(0.5) ? random.between(0, 5) : random.between(0, 400), again);
    };
    scheduler.after(random.between(0, 100), again);
  }
  for (let count = random.whole(10, 50); count > 0; count -= 1) {
    const pauseMs = random.chance(0.6) ? random.between(0, 8) : random.between(0, random.chance(0.2) ? 8_000 : 400);
    scheduler.after(pauseMs, () => operations.step());
    scheduler.runUntil(world.nowMs + pauseMs);
  }
  isBusy = false;
  world.calmDown();
  if (random.chance(0.3)) {
    scheduler.runUntil(world.nowMs + QUIET_MS);
    checkGoesOn({ world, xds, authz, envoys });
  }
  operations.repair();
  scheduler.runUntil(world.nowMs + QUIET_MS);
}

/** With shards in it that somebody refuses, the newest revision is what everybody routes by, and all other shards are right. */
function checkGoesOn({ world, envoys }: Actors): void {
  const { newest, newestNumber } = world.history;
  for (const { name, state, refusedStamps } of envoys) {
    if (!refusedStamps.has(newestNumber) && !state.hasUntold) {
      world.check(
        state.stamp === newestNumber,
        () => `${name} stays at ${state.stamp}, ${newestNumber} has a bad shard`,
      );
    }
    for (const [cluster, texts] of newest.clusters) {
      if (state.isUntold(cluster) || state.isExcused(cluster, newestNumber)) continue;
      const { version, endpoints } = state.active.get(cluster) ?? {};
      const isRight = version === texts.cluster && endpoints === texts.endpoints;
      world.check(isRight, () => `${name} has ${cluster} ${version} ${endpoints} beside a bad shard`);
    }
  }
}

/** When nothing happens any more, everybody has the newest revision and exactly its clusters. */
function checkConvergence({ world, xds, authz, envoys }: Actors): void {
  const { newest, newestNumber } = world.history;
  const isAtRest = world.saidAtMs < world.nowMs - REST_MS;
  world.check(isAtRest, () => `something is still said ${world.nowMs - world.saidAtMs} ms before the end`);
  for (const replica of [...xds, ...authz]) world.check(replica.isUp, () => `${replica.name} is still down`);
  for (const { name, state, stream } of envoys) {
    world.check(stream !== undefined, () => `${name} has no stream at the end`);
    world.check(state.timeouts === 0, () => `${name} waited ${state.timeouts} times in vain for endpoints`);
    if (state.stamp !== newestNumber && state.hasUntold) continue;
    world.check(state.stamp === newestNumber, () => `${name} ends at stamp ${state.stamp} instead of ${newestNumber}`);
    const warming = [...state.warming.keys()];
    world.check(warming.length === 0, () => `${name} ends with warming ${warming.join()}`);
    const held = [...state.active]
      .filter(([cluster]) => !state.isUntold(cluster))
      .map(([cluster, { version, endpoints }]) => `${cluster} ${version} ${endpoints}`);
    const expected = [...newest.clusters]
      .filter(([cluster]) => !state.isUntold(cluster))
      .map(([cluster, texts]) => `${cluster} ${texts.cluster} ${texts.endpoints}`);
    const isEqual = held.toSorted().join('\n') === expected.toSorted().join('\n');
    world.check(
      isEqual,
      () => `${name} ends with other clusters:\n${held.join('\n')}\ninstead of\n${expected.join('\n')}`,
    );
  }
}
