import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseLogLine } from '#domain/logs/access-line.ts';
import { type Flow, isRepeatable, type TrafficAnswer } from '../../../test/support/load/traffic.ts';
import type { EdgeDiary } from './edge-diary.ts';

/** How far from a kill a failure may be and still be of it: requests were under way, or on their way, when it came. */
const NEAR_MS = 1_000;
/** Of a line of the access log: what says why a request became what it became. */
const SHOWN_FIELDS = [
  ...['time', 'status', 'grpc_status', 'details', 'flags', 'outcome', 'reason', 'decided_revision', 'routed_revision'],
  ...['decided_cluster', 'upstream_cluster', 'upstream_host', 'upstream_failure', 'attempts', 'duration_ms'],
  ...['connection_end'],
];

type LogLine = Readonly<Record<string, unknown>>;

/** A request that failed, with all that is known of it. */
export interface Account {
  readonly answer: TrafficAnswer;
  readonly isRepeatable: boolean;
  /** Undefined when the access log has no line of it. */
  readonly line: LogLine | undefined;
  /** What was going on when it ended, or nearest to that. */
  readonly event: string;
  /** Why it may have failed; undefined when nothing that is known allows it. */
  readonly reason: string | undefined;
}

/**
 * Accounts for each request that was not answered as it had to be.
 * @param log the lines of the access log by correlation id
 */
export function accountsOf(
  answers: readonly TrafficAnswer[],
  context: {
    readonly flows: ReadonlyMap<string, Flow>;
    readonly log: ReadonlyMap<string, LogLine>;
    readonly diary: EdgeDiary;
  },
): readonly Account[] {
  const { flows, log, diary } = context;
  return answers
    .filter(({ isRight }) => !isRight)
    .map((answer) => {
      const flow = flows.get(answer.flow);
      if (flow === undefined) throw new Error(`nobody sends ${answer.flow}`);
      const line = log.get(answer.id);
      const event = diary.around(answer.sentAt + answer.tookMs);
      return { answer, isRepeatable: isRepeatable(flow), line, event, reason: reasonOf(answer, flow, line, diary) };
    });
}

/** The one thing that may fail: work which may not be repeated, at an endpoint that was killed while it did it. */
function reasonOf(answer: TrafficAnswer, flow: Flow, line: LogLine | undefined, diary: EdgeDiary): string | undefined {
  if (isRepeatable(flow) || line === undefined || answer.code !== 'upstream_unavailable') return undefined;
  const port =
    String(line['upstream_host'] ?? '')
      .split(':')
      .at(-1) ?? '';
  const endedAt = answer.sentAt + answer.tookMs;
  const kill = diary.entries.find(
    ({ kind, what, from }) =>
      kind === 'endpoint kill' && what.split(' ').includes(port) && Math.abs(endedAt - from) < NEAR_MS,
  );
  return kill === undefined ? undefined : 'not repeatable, and under way at the endpoint that was killed';
}

/** The access log's lines with these correlation ids. */
export async function readLog(path: string, wanted: ReadonlySet<string>): Promise<ReadonlyMap<string, LogLine>> {
  const found = new Map<string, LogLine>();
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const line = parseLogLine(text);
    const id = line.ok ? String(line.value['correlation_id']) : '';
    if (line.ok && wanted.has(id)) found.set(id, line.value);
  }
  return found;
}

/** One failure as a line to read, and what the access log says as the next one. */
export function explain({ answer, isRepeatable: may, line, event, reason }: Account): string {
  const at = new Date(answer.sentAt).toISOString();
  const what = `${at} ${answer.flow}: ${answer.status} ${answer.code} after ${Math.round(answer.tookMs)} ms`;
  const why = may ? 'MUST NOT FAIL' : (reason ?? 'UNACCOUNTED');
  const shown = Object.fromEntries(SHOWN_FIELDS.flatMap((name) => (line?.[name] == null ? [] : [[name, line[name]]])));
  const body = answer.body === undefined || answer.body === '' ? '' : `\n    answer: ${answer.body.trim()}`;
  return `  ${what}, ${answer.id}, ${event}: ${why}${body}\n    access log: ${line === undefined ? 'no line' : JSON.stringify(shown)}`;
}
