import { API_CLUSTER } from '../headers.ts';
import type { AccessLine } from './access-line.ts';

/**
 * What became of a request.
 *
 * `undecided`: ext_authz was not asked or did not answer (liveness, malformed requests, floods); nothing may have been
 * sent anywhere. `denied`: refused by a decision. `routed`: sent to a cluster. `unrouted`: allowed, and yet not sent
 * (the client went away, the cluster was gone).
 */
export const FATES = ['routed', 'unrouted', 'denied', 'undecided'] as const;
export type Fate = (typeof FATES)[number];

/** Everything that can be wrong with a line, with the sentence that says what it means. */
export const LINE_MISTAKES = {
  unreadable: 'the line is not one that Envoy writes',
  too_long: 'the line is longer than any that Envoy writes',
  routed_without_decision: 'the request was sent to a shard or service, and nobody had decided about it',
  routed_though_denied: 'the request was sent to a shard or service although it was denied',
  outcome_unknown: 'the decision is neither allow nor deny',
  decision_id_missing: 'the decision has no id',
  reason_missing: 'the denial has no reason',
  decided_cluster_missing: 'the request was allowed, and the decision names no cluster',
  cluster_differs: 'the request went to another cluster than the decision names',
  revision_missing: 'the revision of the decision or of the route is not known',
  revision_older: 'the request was decided by an older revision than it was routed by',
  revision_newer_unmarked: 'the request was decided by a newer revision than it was routed by, and nothing says why',
} as const;
export type LineMistake = keyof typeof LINE_MISTAKES;

/** The cluster of Envoy's bootstrap behind the name that decisions give to our own API. */
export const API_UPSTREAM_CLUSTER = 'authz_api';

export interface LineJudgement {
  readonly fate: Fate;
  /** How the revision of the decision relates to that of the route; undefined where no decision was made by one. */
  readonly revision: 'equal' | 'substituted' | undefined;
  readonly mistakes: readonly LineMistake[];
}

/** Says of one request whether it was routed as, and at the revision at which, it was decided. */
export function judgeAccessLine(line: AccessLine): LineJudgement {
  const fate = fateOf(line);
  const mistakes: LineMistake[] = [];
  if (isSent(line) && fate === 'undecided') mistakes.push('routed_without_decision');
  if (isSent(line) && fate === 'denied') mistakes.push('routed_though_denied');
  if (fate !== 'undecided') mistakes.push(...judgeDecision(line));
  const revision = judgeRevision(line, fate);
  if (revision !== undefined && revision !== 'equal' && revision !== 'substituted') mistakes.push(revision);
  return { fate, revision: revision === 'equal' || revision === 'substituted' ? revision : undefined, mistakes };
}

function fateOf(line: AccessLine): Fate {
  if (line.outcome === undefined && line.decisionId === undefined) return 'undecided';
  if (line.outcome === 'deny') return 'denied';
  return isSent(line) ? 'routed' : 'unrouted';
}

const isSent = ({ upstreamCluster, upstreamHost }: AccessLine): boolean =>
  upstreamCluster !== undefined || upstreamHost !== undefined;

function judgeDecision(line: AccessLine): readonly LineMistake[] {
  const mistakes: LineMistake[] = [];
  if (line.decisionId === undefined) mistakes.push('decision_id_missing');
  if (line.outcome === 'deny') {
    if (line.reason === undefined) mistakes.push('reason_missing');
  } else if (line.outcome !== 'allow') mistakes.push('outcome_unknown');
  else if (line.decidedCluster === undefined) mistakes.push('decided_cluster_missing');
  else if (isSent(line) && line.upstreamCluster !== upstreamOf(line.decidedCluster)) mistakes.push('cluster_differs');
  return mistakes;
}

const upstreamOf = (decided: string): string => (decided === API_CLUSTER ? API_UPSTREAM_CLUSTER : decided);

function judgeRevision(
  line: AccessLine,
  fate: Fate,
): 'equal' | 'substituted' | 'revision_missing' | 'revision_older' | 'revision_newer_unmarked' | undefined {
  const { decidedRevision: decided, routedRevision: routed, substituted } = line;
  // A request that came by no stamped route is refused before any revision plays a part.
  if (decided === undefined) return fate === 'routed' || fate === 'unrouted' ? 'revision_missing' : undefined;
  if (routed === undefined) return 'revision_missing';
  if (decided === routed) return 'equal';
  if (decided < routed) return 'revision_older';
  return substituted ? 'substituted' : 'revision_newer_unmarked';
}
