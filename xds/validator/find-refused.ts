import { LIMITS } from '#domain/limits.ts';
import type { RunVerdict } from './judge-run.ts';

/** Entries that Envoy refuses together. */
interface Group<Entry> {
  readonly entries: readonly Entry[];
  /** What it said of them, or of a set with these in which the others are valid. */
  readonly error: string;
  readonly wasRun: boolean;
}

export interface Found<Entry> {
  /** Envoy refuses each of these alone. */
  readonly refused: readonly { readonly entry: Entry; readonly error: string }[];
  /** Each of these is refused as a whole; the runs ended before it was known for what. */
  readonly untold: readonly Pick<Group<Entry>, 'entries' | 'error'>[];
}

/**
 * Finds which of the entries of a refused set Envoy refuses, by halving: one in n takes about log2 n runs. Ends early,
 * with what it knows, when a run has no verdict (no time is left, say) or when `routingErrorsMaxCount` are found, more
 * than which nobody is told anyway.
 */
export async function findRefused<Entry>(
  set: Pick<Group<Entry>, 'entries' | 'error'>,
  run: (entries: readonly Entry[]) => Promise<RunVerdict>,
): Promise<Found<Entry>> {
  const refused: { entry: Entry; error: string }[] = [];
  const waiting: Group<Entry>[] = [{ ...set, wasRun: true }];
  for (let group = waiting.pop(); group !== undefined; group = waiting.pop()) {
    if (refused.length >= LIMITS.routingErrorsMaxCount) return { refused, untold: [...waiting, group] };
    const [entry] = group.entries;
    const parts = group.entries.length > 1 ? await halve(group, run) : await alone(group, run);
    if (parts === undefined) return { refused, untold: [...waiting, group] };
    if (group.entries.length > 1) waiting.push(...parts);
    else if (entry !== undefined) refused.push(...parts.map(({ error }) => ({ entry, error })));
  }
  return { refused, untold: [] };
}

type Run<Entry> = (entries: readonly Entry[]) => Promise<RunVerdict>;

/** The halves that are refused, or that must be; undefined when a run had no verdict. */
async function halve<Entry>({ entries, error }: Group<Entry>, run: Run<Entry>) {
  const middle = entries.length >> 1;
  const [left, right] = [entries.slice(0, middle), entries.slice(middle)];
  const first = await run(left);
  if (first.state === 'unavailable') return undefined;
  // Then it was something in the other half that Envoy complained of.
  if (first.state === 'valid') return [{ entries: right, error, wasRun: false }];
  const second = await run(right);
  const bad = [{ entries: left, error: first.error, wasRun: true }];
  return second.state === 'invalid' ? [{ entries: right, error: second.error, wasRun: true }, ...bad] : bad;
}

/** Nobody is blamed by conclusion alone: the entry itself, nothing if it is valid alone, undefined without a verdict. */
async function alone<Entry>(group: Group<Entry>, run: Run<Entry>): Promise<readonly Group<Entry>[] | undefined> {
  if (group.wasRun) return [group];
  const verdict = await run(group.entries);
  if (verdict.state === 'unavailable') return undefined;
  return verdict.state === 'invalid' ? [{ ...group, error: verdict.error }] : [];
}
