import type { Resource } from '../snapshot/resource.ts';

/** Rejected versions remembered per name. */
const VERSIONS_MAX_COUNT = 16;

/** What one client has rejected of one type: never sent again to it. */
export class RejectedVersions {
  readonly #errors = new Map<string, Map<string, string>>();

  add({ name, version }: Resource, error: string): void {
    const versions = this.#errors.get(name) ?? new Map<string, string>();
    versions.set(version, error);
    // The oldest is forgotten: it would come back only by a rollback to a content that was refused before.
    for (const oldest of versions.keys()) if (versions.size > VERSIONS_MAX_COUNT) versions.delete(oldest);
    this.#errors.set(name, versions);
  }

  has(name: string, version: string): boolean {
    return this.#errors.get(name)?.has(version) === true;
  }

  /** What the client said against it; undefined when it never rejected this version. */
  errorOf(name: string, version: string): string | undefined {
    return this.#errors.get(name)?.get(version);
  }
}
