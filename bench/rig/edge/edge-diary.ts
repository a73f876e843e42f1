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

  /** What was going on at a time, or when there was nothing the nearest of all, in words. */
  around(at: number): string {
    const found = this.entriesAround(at).map(
      ({ kind, what, from }) => `${kind} of ${what} (begun ${Math.round(at - from)} ms before)`,
    );
    return found.length === 0 ? 'nothing was done' : found.join(', ');
  }

  /** The same as entries; moves apart: one is under way at almost any time. */
  entriesAround(at: number): readonly DiaryEntry[] {
    const others = this.#entries.filter(({ kind }) => kind !== 'move');
    const nearestMs = Math.min(...others.map((entry) => distance(entry, at)));
    return others.filter((entry) => distance(entry, at) === nearestMs);
  }
}

function distance({ from, until }: DiaryEntry, at: number): number {
  if (at < from) return from - at;
  return until === undefined ? 0 : Math.max(0, at - until);
}
