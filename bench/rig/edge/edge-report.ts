import type { Flow, LostConnection, TrafficAnswer } from '../../../test/support/load/traffic.ts';
import { percentile, printJson, printTable, rounded } from '../harness.ts';
import { type Account, explain } from './edge-accounts.ts';
import type { EdgeDiary } from './edge-diary.ts';

/** Everything that one run has found. */
export interface EdgeRun {
  readonly answers: readonly TrafficAnswer[];
  /** Of every request that failed. */
  readonly accounts: readonly Account[];
  readonly lost: readonly LostConnection[];
  readonly diary: EdgeDiary;
  readonly flows: ReadonlyMap<string, Flow>;
  /** Moves that had to be published again. */
  readonly publishRetries: number;
}

/** A rotation needs this long until the last connection that it could end has ended. */
const ROTATION_SHADOW_MS = 3_000;
const SLOW_MS = 500;
const KINDS = ['rotation', 'move', 'authz restart', 'authz kill', 'endpoint kill', 'xds restart', 'xds kill'] as const;

const mustNotFail = ({ accounts }: EdgeRun) => accounts.filter((account) => account.isRepeatable);
const unaccounted = ({ accounts }: EdgeRun) =>
  accounts.filter((account) => !account.isRepeatable && account.reason === undefined);

/** Connections over TLS that ended while a certificate was replaced or shortly after. */
function lostByRotation({ lost, diary }: EdgeRun): readonly LostConnection[] {
  const rotations = diary.entries.filter(({ kind }) => kind === 'rotation');
  const isOfOne = (at: number) =>
    rotations.some(({ from, until }) => at >= from && at <= (until ?? Number.POSITIVE_INFINITY) + ROTATION_SHADOW_MS);
  return lost.filter(({ tls, at }) => tls && isOfOne(at));
}

/** Whether nothing failed that may be repeated, all else is accounted for, and no rotation ended a connection. */
export const isFine = (run: EdgeRun): boolean =>
  mustNotFail(run).length === 0 && unaccounted(run).length === 0 && lostByRotation(run).length === 0;

/** Prints the tables, each failure, and with --json the figures as the last line. */
export function reportEdge(run: EdgeRun, options: { readonly rate: number; readonly minutes: number }): void {
  const { answers, accounts, diary, lost, flows } = run;
  const { rate, minutes } = options;
  process.stdout.write(
    `${rate} requests/s for ${minutes} minutes; two authz, one xds, one Envoy, one pair of endpoints\n`,
  );
  const rows = [...flows.values()].map((flow) => rowOf(flow, run));
  printTable([['', 'sent', 'ok', 'failed, repeatable', 'failed, other', 'p50', 'p90', 'p99', 'max ms'], ...rows]);
  const done = KINDS.map((kind) => `${kind} ${diary.count(kind)}`).join(', ');
  process.stdout.write(`meanwhile: ${done}; ${run.publishRetries} publications tried again\n`);
  const told = lost.filter(({ wasTold }) => wasTold).length;
  const dropped = lostByRotation(run);
  process.stdout.write(
    `connections ended by the gateway: ${lost.length} (${told} announced), TLS ones by a rotation: ${dropped.length}\n`,
  );
  for (const { flow, at, wasTold } of dropped)
    process.stdout.write(`  ${new Date(at).toISOString()} ${flow}${wasTold ? ', announced' : ''}\n`);
  process.stdout.write(
    `failed: ${mustNotFail(run).length} that must not, ${unaccounted(run).length} unaccounted for, ` +
      `${accounts.length - mustNotFail(run).length - unaccounted(run).length} accounted for\n`,
  );
  reportSlow(run);
  for (const account of accounts) process.stdout.write(`${explain(account)}\n`);
  printJson({
    ...{ rate, minutes, sent: answers.length, failed_repeatable: mustNotFail(run).length },
    ...{ failed_other: accounts.length - mustNotFail(run).length, unaccounted: unaccounted(run).length },
    ...{ connections_lost: lost.length, connections_lost_by_rotation: dropped.length },
    meanwhile: Object.fromEntries(KINDS.map((kind) => [kind.replace(' ', '_'), diary.count(kind)])),
    flows: Object.fromEntries([...flows.keys()].map((name) => [name, figuresOf(name, run)])),
  });
}

/** When the slowest were under way: a p99 without its moment explains nothing. */
function reportSlow({ answers, diary }: EdgeRun): void {
  const moments = new Map<string, number>();
  for (const { sentAt, tookMs: took } of answers) {
    if (took < SLOW_MS) continue;
    const entries = diary.entriesAround(sentAt + took / 2);
    const moment = entries.map(({ kind, what, from }) => `${kind} of ${what} at ${timeOf(from)}`).join(', ');
    moments.set(moment, (moments.get(moment) ?? 0) + 1);
  }
  for (const [moment, count] of moments) process.stdout.write(`slower than ${SLOW_MS} ms: ${count}, ${moment}\n`);
}

const timeOf = (at: number): string => new Date(at).toISOString().slice(11, 23);

const ofFlow = (name: string, { answers }: EdgeRun) => answers.filter(({ flow }) => flow === name);
const tookMs = (answers: readonly TrafficAnswer[]) => answers.map((answer) => answer.tookMs);

function rowOf({ name }: Flow, run: EdgeRun): string[] {
  const own = ofFlow(name, run);
  const failed = run.accounts.filter(({ answer }) => answer.flow === name);
  const repeatable = failed.filter((account) => account.isRepeatable).length;
  const counts = [own.length, own.length - failed.length, repeatable, failed.length - repeatable].map(String);
  const latency = [0.5, 0.9, 0.99, 1].map((part) => percentile(tookMs(own), part).toFixed(1));
  return [name, ...counts, ...latency];
}

function figuresOf(name: string, run: EdgeRun) {
  const values = tookMs(ofFlow(name, run));
  return {
    sent: values.length,
    failed: run.accounts.filter(({ answer }) => answer.flow === name).length,
    p50_ms: rounded(percentile(values, 0.5)),
    p99_ms: rounded(percentile(values, 0.99)),
    max_ms: rounded(percentile(values, 1)),
  };
}
