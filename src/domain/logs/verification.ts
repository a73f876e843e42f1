import { parseAccessLine } from './access-line.ts';
import { FATES, type Fate, judgeAccessLine, type LineMistake } from './judge-access-line.ts';

/** One line that is not as it must be. */
export interface OffendingLine {
  /** 1 = the first line of the log. */
  readonly number: number;
  readonly mistakes: readonly LineMistake[];
  /** What more there is to say, for a line that cannot be read. */
  readonly detail?: string;
  /** The beginning of the line. */
  readonly text: string;
}

/** What an access log proves. */
export interface LogReport {
  /** Whether no line is wrong. */
  readonly ok: boolean;
  readonly lines: number;
  readonly fates: Readonly<Record<Fate, number>>;
  /** Decisions by the very revision of the route, and those by a newer one that say so. */
  readonly revisions: { readonly equal: number; readonly substituted: number };
  /** Lowest and highest revision that requests were routed by; undefined when none was. */
  readonly routedBy: { readonly first: number; readonly last: number } | undefined;
  readonly mistakes: Readonly<Partial<Record<LineMistake, number>>>;
  readonly offendingLines: number;
  /** The first of them, as many as were asked for. */
  readonly offending: readonly OffendingLine[];
  /** The log ends within a line: Envoy was writing it, or was killed. It is not counted. */
  readonly unfinished: boolean;
}

const TEXT_SHOWN_MAX_CHARS = 400;

/** Verifies an access log line by line, in constant memory. */
export class LogVerification {
  readonly #offendingMaxCount: number;
  readonly #fates = new Map<Fate, number>(FATES.map((fate) => [fate, 0]));
  readonly #revisions = { equal: 0, substituted: 0 };
  readonly #mistakes = new Map<LineMistake, number>();
  readonly #offending: OffendingLine[] = [];
  #routedBy: { readonly first: number; readonly last: number } | undefined;
  #lines = 0;
  #offendingLines = 0;
  #unfinished = false;

  /** @param offendingMaxCount offending lines to remember; all are counted */
  constructor(offendingMaxCount: number) {
    this.#offendingMaxCount = offendingMaxCount;
  }

  /** The next whole line. An empty one is skipped, yet numbered. */
  line(text: string): void {
    this.#lines += 1;
    if (text === '') return;
    const parsed = parseAccessLine(text);
    if (!parsed.ok) {
      this.#offend(['unreadable'], text, parsed.error);
      return;
    }
    const { fate, revision, mistakes } = judgeAccessLine(parsed.value);
    this.#fates.set(fate, (this.#fates.get(fate) ?? 0) + 1);
    if (revision !== undefined) this.#revisions[revision] += 1;
    if (fate === 'routed') this.#routedAt(parsed.value.routedRevision);
    if (mistakes.length > 0) this.#offend(mistakes, text);
  }

  /** The next line, of which only the beginning was kept. */
  lineTooLong(beginning: string): void {
    this.#lines += 1;
    this.#offend(['too_long'], beginning);
  }

  /** What stands behind the last line break: a whole line is verified, the beginning of one is not held against it. */
  rest(text: string): void {
    if (text === '') return;
    if (parseAccessLine(text).ok) this.line(text);
    else this.#unfinished = true;
  }

  /** What was found so far. */
  report(): LogReport {
    const count = (fate: Fate): number => this.#fates.get(fate) ?? 0;
    return {
      ok: this.#offendingLines === 0,
      lines: this.#lines,
      fates: {
        routed: count('routed'),
        unrouted: count('unrouted'),
        denied: count('denied'),
        undecided: count('undecided'),
      },
      revisions: { ...this.#revisions },
      routedBy: this.#routedBy,
      mistakes: Object.fromEntries(this.#mistakes),
      offendingLines: this.#offendingLines,
      offending: [...this.#offending],
      unfinished: this.#unfinished,
    };
  }

  #routedAt(revision: number | undefined): void {
    if (revision === undefined) return;
    const { first, last } = this.#routedBy ?? { first: revision, last: revision };
    this.#routedBy = { first: Math.min(first, revision), last: Math.max(last, revision) };
  }

  #offend(mistakes: readonly LineMistake[], text: string, detail?: string): void {
    this.#offendingLines += 1;
    for (const mistake of mistakes) this.#mistakes.set(mistake, (this.#mistakes.get(mistake) ?? 0) + 1);
    if (this.#offending.length >= this.#offendingMaxCount) return;
    this.#offending.push({
      number: this.#lines,
      mistakes,
      ...(detail === undefined ? {} : { detail }),
      text: text.slice(0, TEXT_SHOWN_MAX_CHARS),
    });
  }
}
