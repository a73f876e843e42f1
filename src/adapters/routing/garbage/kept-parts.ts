/** A part of a routing revision and how many remembered manifests name it. */
interface Part {
  readonly name: string;
  uses: number;
}

/** A copy of a head as it was read: which write of `rev.<n>` it was, and the manifest it names. */
interface Recorded {
  readonly write: number;
  readonly manifest: string;
}

/**
 * What a collector has read of the kept revisions: which manifest each names, and which parts each manifest names.
 * A manifest is named by its content, so what was read once holds for ever; a copy `rev.<n>` may be written again, so
 * it is remembered together with its write. Each part's name is held once, however many manifests name it: successive
 * manifests share all but a few of their 259 parts.
 */
export class KeptParts {
  readonly #revisions = new Map<number, Recorded>();
  readonly #manifests = new Map<string, readonly Part[]>();
  readonly #parts = new Map<string, Part>();

  /** The manifest of a revision; undefined when it was not read, or `rev.<n>` was written again after `write`. */
  manifestOf(revision: number, write: number): string | undefined {
    const recorded = this.#revisions.get(revision);
    return recorded?.write === write ? recorded.manifest : undefined;
  }

  setRevision(revision: number, recorded: Recorded): void {
    this.#revisions.set(revision, recorded);
  }

  hasManifest(sha256: string): boolean {
    return this.#manifests.has(sha256);
  }

  addManifest(sha256: string, names: Iterable<string>): void {
    if (this.#manifests.has(sha256)) return;
    this.#manifests.set(
      sha256,
      [...new Set(names)].map((name) => this.#use(name)),
    );
  }

  /** Forgets everything but these revisions and manifests. */
  keepOnly(kept: { readonly revisions: ReadonlySet<number>; readonly manifests: ReadonlySet<string> }): void {
    for (const revision of this.#revisions.keys()) {
      if (!kept.revisions.has(revision)) this.#revisions.delete(revision);
    }
    for (const [sha256, parts] of this.#manifests) {
      if (kept.manifests.has(sha256)) continue;
      this.#manifests.delete(sha256);
      for (const part of parts) this.#release(part);
    }
  }

  /** Whether a remembered manifest names this part. */
  hasPart(name: string): boolean {
    return this.#parts.has(name);
  }

  /** Remembered things, which are bounded by the revisions that are kept. */
  sizes(): { readonly revisions: number; readonly manifests: number; readonly parts: number } {
    return { revisions: this.#revisions.size, manifests: this.#manifests.size, parts: this.#parts.size };
  }

  #use(name: string): Part {
    const part = this.#parts.get(name) ?? { name, uses: 0 };
    part.uses += 1;
    this.#parts.set(name, part);
    return part;
  }

  #release(part: Part): void {
    part.uses -= 1;
    if (part.uses === 0) this.#parts.delete(part.name);
  }
}
