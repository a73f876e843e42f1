import { readFile } from 'node:fs/promises';
import { until } from '../wait.ts';
import type { LoadAnswer } from './load-answer.ts';

/** Envoy writes its log every half second. */
const LOG_DEADLINE_MS = 10_000;
const FAILURES_SHOWN_COUNT = 20;
/** Of a line of the access log: what says why a request became what it became. */
const SHOWN_FIELDS = [
  ...['time', 'request_id', 'status', 'grpc_status', 'details', 'flags', 'outcome', 'reason', 'decided_revision'],
  ...['revision_substituted', 'decided_cluster', 'routed_revision', 'route', 'upstream_cluster', 'upstream_host'],
  ...['upstream_failure', 'attempts', 'duration_ms', 'connection_end'],
];

type LogLine = Readonly<Record<string, unknown>>;

export interface Judgement {
  readonly requests: number;
  readonly failed: number;
  /** Served by a shard that is not where the request's own revision places the tenant, or told a wrong epoch. */
  readonly wrong: number;
  /** Answers of a connection that went back to an older revision. */
  readonly backward: number;
  /** Requests that Envoy sent more than once. */
  readonly repeated: number;
  /** The first failures and mistakes, each with its line of the access log. */
  readonly explained: readonly string[];
  /** Of served requests, in ms: as the client saw it, and as Envoy did, which leaves out a busy client. */
  readonly latency: Latency;
  readonly edgeLatency: Latency;
}

interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * Judges answers by what they and the access log say of themselves, against what was published. A request is right when
 * the node that served it, the epoch the node was told and the cluster Envoy chose are those of the request's own
 * revision.
 */
export class LoadJudge {
  readonly #placements = new Map<string, { readonly revision: number; readonly shard: string }[]>();

  /** From `revision` on, `tenant` is on `shard` for both kinds. */
  placed(tenant: string, revision: number, shard: string): void {
    this.#placements.set(tenant, [...(this.#placements.get(tenant) ?? []), { revision, shard }]);
  }

  /** @throws Error when the access log does not tell of all answers */
  async judge(answers: readonly LoadAnswer[], accessLog: string): Promise<Judgement> {
    const lines = await linesOf(answers, accessLog);
    const mistakes = answers.map((answer) => this.#mistakeOf(answer, lines.get(answer.id)));
    const wrong = mistakes.filter((mistake) => mistake?.kind === 'wrong').length;
    const failed = mistakes.filter((mistake) => mistake?.kind === 'failed').length;
    const backwards = goingBack(answers);
    const explained = answers.flatMap((answer, index) => {
      const mistake = mistakes[index] ?? backwards.get(answer);
      return mistake === undefined ? [] : explain(answer, mistake.why, lines.get(answer.id));
    });
    return {
      ...{ requests: answers.length, failed, wrong, backward: backwards.size },
      repeated: answers.filter(({ id }) => Number(lines.get(id)?.['attempts'] ?? 1) > 1).length,
      explained: explained.slice(0, FAILURES_SHOWN_COUNT),
      latency: latencyOf(answers.flatMap((answer) => (answer.isServed ? [answer.tookMs] : []))),
      edgeLatency: latencyOf(answers.flatMap(({ id }) => Number(lines.get(id)?.['duration_ms'] ?? 0))),
    };
  }

  #mistakeOf(answer: LoadAnswer, line: LogLine | undefined): Mistake | undefined {
    if (!answer.isServed) return { kind: 'failed', why: 'not served' };
    const right = this.#placements.get(answer.tenant)?.findLast(({ revision }) => revision <= answer.revision);
    const cluster = `${answer.kind}/${right?.shard}`;
    const found = [
      answer.servedBy === cluster ? '' : `served by ${answer.servedBy}`,
      answer.epoch === undefined || answer.epoch === right?.revision ? '' : `epoch ${answer.epoch}`,
      line?.['upstream_cluster'] === cluster ? '' : `sent to cluster ${line?.['upstream_cluster']}`,
    ].filter((each) => each !== '');
    const place = `revision ${answer.revision} has ${cluster} since ${right?.revision}`;
    return found.length === 0 ? undefined : { kind: 'wrong', why: `${found.join(', ')}; ${place}` };
  }
}

interface Mistake {
  readonly kind: 'failed' | 'wrong' | 'backward';
  readonly why: string;
}

/** Answers decided by an older revision than the one before on the same connection. */
function goingBack(answers: readonly LoadAnswer[]): ReadonlyMap<LoadAnswer, Mistake> {
  const newest = new Map<number, number>();
  const found = new Map<LoadAnswer, Mistake>();
  for (const answer of answers) {
    if (answer.kind !== 'projection' || answer.revision === 0) continue;
    const before = newest.get(answer.connection) ?? 0;
    if (answer.revision < before) found.set(answer, { kind: 'backward', why: `after revision ${before}` });
    newest.set(answer.connection, Math.max(before, answer.revision));
  }
  return found;
}

/** The access log's lines of these answers, by correlation id. */
function linesOf(answers: readonly LoadAnswer[], path: string): Promise<ReadonlyMap<string, LogLine>> {
  // What never reached Envoy has no line; such an answer is a failure that says so itself.
  const wanted = new Set(answers.filter(({ isServed }) => isServed).map(({ id }) => id));
  const read = async () => {
    const lines = new Map<string, LogLine>();
    for (const text of (await readFile(path, 'utf8')).split('\n')) {
      if (!text.includes('"load-')) continue;
      const line = parsed(text);
      if (line !== undefined) lines.set(String(line['correlation_id']), line);
    }
    return [...wanted].every((id) => lines.has(id)) && lines;
  };
  return until(read, { deadlineMs: LOG_DEADLINE_MS, what: 'the access log to tell of every request' });
}

/** Undefined for the last line while it is being written. */
function parsed(text: string): LogLine | undefined {
  try {
    return Object(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function explain(answer: LoadAnswer, why: string, line: LogLine | undefined): string {
  const shown = Object.fromEntries(SHOWN_FIELDS.flatMap((name) => (line?.[name] == null ? [] : [[name, line[name]]])));
  const sentAt = new Date(answer.sentAt).toISOString();
  return `${why}: ${JSON.stringify({ ...answer, sentAt })}\n  access log: ${JSON.stringify(shown)}`;
}

function latencyOf(values: readonly number[]): Latency {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (part: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
