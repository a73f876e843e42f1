import type { Resource } from '../snapshot/resource.ts';
import type { Rejection } from './subscription-terms.ts';

/** Rejected versions remembered per name. */
const VERSIONS_MAX_COUNT = 16;

/** What one client has rejected of one type: never sent again to it. */
export class RejectedVersions {
  readonly #rejections = new Map<string, Map<string, Rejection>>();

  add({ name, version }: Resource, rejection: Rejection): void {
    const versions = this.#rejections.get(name) ?? new Map<string, Rejection>();
    versions.set(version, rejection);
    // The oldest is forgotten: it would come back only by a rollback to a content that was refused before.
    for (const oldest of versions.keys()) if (versions.size > VERSIONS_MAX_COUNT) versions.delete(oldest);
    this.#rejections.set(name, versions);
  }

  has(name: string, version: string): boolean {
    return this.#rejections.get(name)?.has(version) === true;
  }

  /** What the client said against it; undefined when it never rejected this version. */
  rejectionOf(name: string, version: string): Rejection | undefined {
    return this.#rejections.get(name)?.get(version);
  }
}
