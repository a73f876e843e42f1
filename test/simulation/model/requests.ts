import type { ServiceKind } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import type { AuthzReplica } from '../replicas/authz-replica.ts';
import type { EnvoyLink } from './envoy-link.ts';
import type { World } from './world.ts';

/** How requests ended. Only `lost` is never allowed, and it stops the run. */
export type Outcome =
  | 'served'
  | 'not placed'
  | 'no authz'
  | 'stamp not reached'
  | 'too late'
  | 'lost by a restarted authz'
  | 'lost by a skipped revision'
  | 'refused by the shard';

/** Requests through the Envoys: routed by the stamp of their beginning, decided at it, sent where the decision says. */
export class Requests {
  readonly outcomes = new Map<Outcome, number>();
  readonly #world: World;
  readonly #authz: readonly AuthzReplica[];
  readonly #tenants: readonly string[];

  constructor(world: World, authz: readonly AuthzReplica[], tenants: readonly string[]) {
    this.#world = world;
    this.#authz = authz;
    this.#tenants = tenants;
  }

  begin(envoy: EnvoyLink): void {
    const { random, scheduler } = this.#world;
    const { state } = envoy;
    const { stamp } = state;
    if (stamp < 0) return;
    const { tenant, kind } = this.#whoAsks(stamp);
    const startedAtMs = this.#world.nowMs;
    const authz = random.pick(this.#authz.filter(({ isReady }) => isReady));
    if (authz === undefined) {
      this.#count('no authz');
      return;
    }
    scheduler.after(this.#world.delayMs(), () =>
      authz.decide(stamp, (routing, history) => {
        if (routing === undefined) return this.#count('no authz');
        if (routing.state !== 'held') return this.#count('stamp not reached');
        this.#world.check(
          !routing.substituted || history !== 'held',
          () => `${authz.name} dropped revision ${stamp}, and ${envoy.name} routes by it`,
        );
        const cluster = routing.placement(tenant, kind)?.cluster;
        if (cluster === undefined) return this.#count('not placed');
        scheduler.after(this.#world.delayMs(), () => {
          // A process that was restarted meanwhile took its requests with it.
          if (state !== envoy.state) return;
          if (this.#world.nowMs - startedAtMs > LIMITS.extAuthzTimeoutMs) return this.#count('too late');
          if (state.serves(cluster)) return this.#count('served');
          if (state.isExcused(cluster, stamp)) return this.#count('refused by the shard');
          this.#world.check(
            routing.substituted,
            () => `a request through ${envoy.name} at ${stamp} fails: ${cluster} is not there or not warm`,
          );
          this.#count(history === 'skipped' ? 'lost by a skipped revision' : 'lost by a restarted authz');
        });
      }),
    );
  }

  /** Mostly somebody who is placed by that stamp. */
  #whoAsks(stamp: number): { readonly tenant: string; readonly kind: ServiceKind } {
    const { random } = this.#world;
    const placed = random.chance(0.9) ? random.pick(this.#world.history.at(stamp).placed) : undefined;
    return placed ?? { tenant: random.pick(this.#tenants) ?? '', kind: 'aggregate' };
  }

  #count(outcome: Outcome): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }
}
