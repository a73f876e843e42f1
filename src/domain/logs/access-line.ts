import { fail, ok, type Result } from '../result.ts';

/**
 * What one line of Envoy's access log says of a request, as far as verification and search read it. Envoy leaves out
 * what is empty; a member that is there has the type that our format gives it.
 */
export interface AccessLine {
  readonly decisionId: string | undefined;
  readonly outcome: string | undefined;
  readonly reason: string | undefined;
  /** The routing revision that ext_authz decided by. */
  readonly decidedRevision: number | undefined;
  /** Whether the decision says itself that it was made by a newer revision than the stamped one. */
  readonly substituted: boolean;
  /** The cluster that ext_authz chose. */
  readonly decidedCluster: string | undefined;
  /** The stamp of the route configuration that routed the request. */
  readonly routedRevision: number | undefined;
  /** The cluster that the request was sent to. */
  readonly upstreamCluster: string | undefined;
  readonly upstreamHost: string | undefined;
}

type Members = Readonly<Record<string, unknown>>;

/** Any line of a log as its members. The error says what is wrong with it. */
export function parseLogLine(text: string): Result<Members, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail('the line is no JSON');
  }
  return isMembers(value) ? ok(value) : fail('the line is no JSON object');
}

/** One line of the access log. The error says what is wrong with it. */
export function parseAccessLine(text: string): Result<AccessLine, string> {
  const parsed = parseLogLine(text);
  return parsed.ok ? readAccessLine(parsed.value) : parsed;
}

function readAccessLine(members: Members): Result<AccessLine, string> {
  const mistakes: string[] = [];
  const text = (name: string): string | undefined => {
    const value = members[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'string' && value !== '') return value;
    mistakes.push(`${name} is no text`);
    return undefined;
  };
  const revision = (name: string): number | undefined => {
    const value = members[name];
    if (value === undefined || value === null) return undefined;
    const number = typeof value === 'string' && WHOLE_NUMBER.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number;
    mistakes.push(`${name} is no revision`);
    return undefined;
  };
  const line: AccessLine = {
    decisionId: text('decision_id'),
    outcome: text('outcome'),
    reason: text('reason'),
    decidedRevision: revision('decided_revision'),
    // The metadata of a decision is text; whether Envoy prints it so is Envoy's affair.
    substituted: String(members['revision_substituted']) === 'true',
    decidedCluster: text('decided_cluster'),
    routedRevision: revision('routed_revision'),
    upstreamCluster: text('upstream_cluster'),
    upstreamHost: text('upstream_host'),
  };
  return mistakes.length === 0 ? ok(line) : fail(mistakes.join(', '));
}

const WHOLE_NUMBER = /^(?:0|[1-9][0-9]{0,15})$/;

const isMembers = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
