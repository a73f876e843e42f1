/** Something that was done to the gateway under load. */
export interface DiaryEntry {
  /** `endpoint kill`, `rotation`, ... */
  readonly kind: string;
  /** What it was done to. */
  readonly what: string;
  /** Unix time in ms. */
  readonly from: number;
  /** When it was over (the program served again); absent while it is not. */
  until?: number;
}

/** What was done and when, so that whatever failed can be laid beside it. */
export class EdgeDiary {
  readonly #entries: DiaryEntry[] = [];

  get entries(): readonly DiaryEntry[] {
    return this.#entries;
  }

  /** Does `work` and remembers when it began and ended. */
  async during<Value>(kind: string, what: string, work: () => Promise<Value>): Promise<Value> {
    const entry: DiaryEntry = { kind, what, from: Date.now() };
    this.#entries.push(entry);
    try {
      return await work();
    } finally {
      entry.until = Date.now();
    }
  }

  /** How often something of this kind was done. */
  count(kind: string): number {
    return this.#entries.filter((entry) => entry.kind === kind).length;
  }

  /**
   * What was done nearest to a time, moves apart: one is under way at almost any time.
   * @returns undefined when nothing was done; `distanceMs` is 0 while it was going on
   */
  nearest(at: number): { readonly entry: DiaryEntry; readonly distanceMs: number } | undefined {
    return this.#entries
      .filter(({ kind }) => kind !== 'move')
      .map((entry) => ({ entry, distanceMs: distance(entry, at) }))
      .toSorted((left, right) => left.distanceMs - right.distanceMs)[0];
  }
}

function distance({ from, until }: DiaryEntry, at: number): number {
  if (at < from) return from - at;
  return until === undefined ? 0 : Math.max(0, at - until);
}
