/** Members of an access log line by which a request is looked for. */
const ACCESS_IDS = [
  'request_id',
  'response_request_id',
  'correlation_id',
  'response_correlation_id',
  'trace_id',
  'decision_id',
] as const;

/** Members of a line of the authz service's log by which a decision is looked for. */
const SERVICE_IDS = ['request_id', 'correlation_id', 'trace_id', 'decision_id'] as const;

/** What both logs have of one request, and nobody else's: what leads from a line of one log to those of the other. */
const LEADING_IDS = ['decision_id', 'request_id', 'response_request_id'] as const;

type Members = Readonly<Record<string, unknown>>;

/** Whether an access log line is of a request with one of these ids. */
export const isOfRequest = (line: Members, ids: ReadonlySet<string>): boolean => hasId(line, ACCESS_IDS, ids);

/** Whether a line of the authz service's log is of a request with one of these ids. */
export const isOfDecision = (line: Members, ids: ReadonlySet<string>): boolean => hasId(line, SERVICE_IDS, ids);

/** The ids in an access log line that lead to the lines of its decision. */
export const leadingIds = (line: Members): readonly string[] =>
  LEADING_IDS.flatMap((name) => {
    const value = line[name];
    return typeof value === 'string' && value !== '' ? [value] : [];
  });

function hasId(line: Members, names: readonly string[], ids: ReadonlySet<string>): boolean {
  return names.some((name) => {
    const value = line[name];
    return typeof value === 'string' && ids.has(value);
  });
}
