import { BoundedMap } from './bounded-map.ts';
import { NODE_LIMITS } from './limits.ts';

/** Whether a request may be served, by the epoch of the placement that led it here. */
export type Admission =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly reason: 'malformed' }
  | { readonly admitted: false; readonly reason: 'stale'; readonly newest: number; readonly got: number };

/**
 * The fence against late requests. `x-placement-epoch` is the routing revision at which the tenant was last placed for
 * this node's kind; a request routed before a move carries an older one than requests routed after it. A node that has
 * seen the newer epoch refuses the older, so that a request that was under way during a move cannot be served by a shard
 * that the tenant has left and come back to.
 */
export class PlacementEpochs {
  readonly #newest: BoundedMap<string, number>;

  constructor(tenantsMaxCount: number = NODE_LIMITS.tenantsMaxCount) {
    this.#newest = new BoundedMap(tenantsMaxCount);
  }

  /** @param epoch the header's value; a request without one (not from the gateway) is admitted */
  admit(tenant: string, epoch: string | undefined): Admission {
    if (epoch === undefined) return { admitted: true };
    if (!/^\d{1,15}$/.test(epoch)) return { admitted: false, reason: 'malformed' };
    const got = Number(epoch);
    const newest = this.#newest.get(tenant) ?? 0;
    if (got < newest) return { admitted: false, reason: 'stale', newest, got };
    if (got > newest) this.#newest.set(tenant, got);
    return { admitted: true };
  }
}
