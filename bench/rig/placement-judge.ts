import type { Served } from './edge-prober.ts';

/**
 * Judges answers by what they say of themselves: a request is wrong when the shard that served it is not where its own
 * routing revision places the tenant, or when a connection goes back to an older revision.
 */
export class PlacementJudge {
  readonly #history = new Map<string, { readonly revision: number; readonly servedBy: string }[]>();
  readonly #newestByConnection = new Map<object, number>();
  requests = 0;
  wrong = 0;
  failed = 0;

  /** From `revision` on, `tenant` is served by `servedBy`. */
  placed(tenant: string, revision: number, servedBy: string): void {
    const history = this.#history.get(tenant) ?? [];
    history.push({ revision, servedBy });
    this.#history.set(tenant, history);
  }

  /** Counts an answer; false when it is wrong or failed. */
  judge(connection: object, tenant: string, served: Served | undefined): boolean {
    this.requests += 1;
    if (served === undefined || served.status !== 200) {
      this.failed += 1;
      return false;
    }
    const right = this.#history.get(tenant)?.findLast((placement) => placement.revision <= served.revision)?.servedBy;
    const newest = this.#newestByConnection.get(connection) ?? 0;
    this.#newestByConnection.set(connection, Math.max(newest, served.revision));
    const isRight = right === served.servedBy && served.revision >= newest;
    if (!isRight) this.wrong += 1;
    return isRight;
  }
}
