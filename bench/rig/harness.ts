import { setTimeout as sleep } from 'node:timers/promises';

/** What every benchmark shares: interleaved runs, medians with their spread, a table to read, one line of JSON at the end. */

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

/** Median and spread of some runs. @throws RangeError without runs */
export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((left, right) => left - right);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new RangeError('nothing was measured');
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? max;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
  return { median, min, max, runs: sorted.length };
}

/**
 * Runs every variant once per round, in turn and in an order that rotates, so that a machine that slows down slows all
 * of them: only figures of one call may be compared.
 */
export async function interleave<Name extends string>(
  variants: Readonly<Record<Name, () => Promise<number> | number>>,
  rounds: number,
): Promise<Readonly<Record<Name, readonly number[]>>> {
  const names = Object.keys(variants) as Name[];
  const results = Object.fromEntries(names.map((name): [string, number[]] => [name, []])) as Record<Name, number[]>;
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length];
      if (name !== undefined) results[name].push(await variants[name]());
    }
  }
  return results;
}

/** `12.3 (11.9-14.0)`: median and spread. */
export const shown = ({ median, min, max }: Summary, digits = 1): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)}-${max.toFixed(digits)})`;

/** Prints aligned rows, the first one as the head. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const line = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    process.stdout.write(`${line.join('  ')}\n`);
  }
}

/** With `--json` the figures as the last line, for whoever compares them. */
export function printJson(figures: Readonly<Record<string, unknown>>, argv: readonly string[] = process.argv): void {
  if (argv.includes('--json')) process.stdout.write(`${JSON.stringify(figures)}\n`);
}

/** Milliseconds that mean the same in every process of this machine. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** The value below which `part` (0 to 1) of the values lie; 0 of none. */
export const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((left, right) => left - right)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0;

/** A row of a table: p50, p90, p99 and the largest. */
export const percentileRow = (name: string, values: readonly number[]): string[] => [
  name,
  ...[0.5, 0.9, 0.99, 1].map((part) => percentile(values, part).toFixed(1)),
];

/** Two digits are enough for a figure to be compared. */
export const rounded = (value: number): number => Number(value.toFixed(2));

/** Starts `task` at a steady rate; a slow one does not delay the next. */
export async function atRate<Value>(
  count: number,
  perSecond: number,
  task: (index: number) => Promise<Value>,
): Promise<Value[]> {
  const startMs = monotonicMs();
  const running: Promise<Value>[] = [];
  for (let index = 0; index < count; index += 1) {
    const waitMs = startMs + (index * 1_000) / perSecond - monotonicMs();
    if (waitMs > 0) await sleep(waitMs);
    running.push(task(index));
  }
  return Promise.all(running);
}
