import type { EnvoyState } from '#ports/replica-board.ts';

/** Rejections of one Envoy remembered for the status page. */
const REJECTIONS_MAX_COUNT = 20;

/** What one Envoy has rejected and what nothing has made up for since. */
export class Rejections {
  #entries: EnvoyState['rejected'] = [];

  get list(): EnvoyState['rejected'] {
    return this.#entries;
  }

  add(rejection: EnvoyState['rejected'][number]): void {
    this.#entries = [...this.#entries, rejection].slice(-REJECTIONS_MAX_COUNT);
  }

  /** Drops what `isSettled` says of the type URL and a name of a rejection. */
  settle(isSettled: (typeUrl: string, name: string) => boolean): void {
    if (this.#entries.length === 0) return;
    this.#entries = this.#entries.filter(({ type, names }) => !names.some((name) => isSettled(type, name)));
  }
}
