import type { Resource } from './resource.ts';

/** What one type of resources is now, for whoever looks things up in it. */
export interface ResourceView {
  get(name: string): Resource | undefined;
  names(): Iterable<string>;
}

/**
 * The current resources of one type. Nothing is queued for anybody: a change tells the names, and each stream takes
 * the newest version when it can send.
 */
export class ResourceTable implements ResourceView {
  readonly #resources = new Map<string, Resource>();

  get(name: string): Resource | undefined {
    return this.#resources.get(name);
  }

  names(): Iterable<string> {
    return this.#resources.keys();
  }

  get size(): number {
    return this.#resources.size;
  }

  /** Puts a resource in; false when the same version is there already. */
  put(resource: Resource): boolean {
    if (this.#resources.get(resource.name)?.version === resource.version) return false;
    this.#resources.set(resource.name, resource);
    return true;
  }

  /** Takes a resource out; false when there is none of this name. */
  remove(name: string): boolean {
    return this.#resources.delete(name);
  }
}
