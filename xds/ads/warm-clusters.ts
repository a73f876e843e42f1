/**
 * Which clusters one Envoy has said to hold warm, and which of them a stamp has to wait for. A warm cluster that changes
 * is not waited for again: Envoy uses the old value until the new one is warm.
 */
export class WarmClusters {
  readonly #warm = new Set<string>();
  readonly #awaited: Set<string>;

  /** @param names all clusters there are */
  constructor(names: Iterable<string>) {
    this.#awaited = new Set(names);
  }

  /** Whether nothing is waited for. */
  get isComplete(): boolean {
    return this.#awaited.size === 0;
  }

  /** The Envoy is told of a cluster: until it has it, no stamp. */
  expect(name: string): void {
    if (!this.#warm.has(name)) this.#awaited.add(name);
  }

  /** The Envoy will not get this cluster: it is offered no longer, or the Envoy rejected what is offered. */
  giveUp(name: string): void {
    this.#awaited.delete(name);
  }

  arrived(name: string): void {
    this.#awaited.delete(name);
    this.#warm.add(name);
  }

  /** The Envoy is told to drop it: a cluster of this name that comes later begins anew. */
  removed(name: string): void {
    this.#warm.delete(name);
  }
}
