import type { Allowed, Denied } from '#domain/access/decide.ts';
import { API_CLUSTER, HEADER } from '#domain/headers.ts';
import type { CheckObserver } from './check-observer.ts';
import type { CheckOrigin, CheckTrace } from './check-trace.ts';
import { denialAnswer } from './denial.ts';
import type { ScannedRequest } from './wire/scan-check-request.ts';
import { headersToRemove, type Pair, writeDenied, writeOk } from './wire/write-check-response.ts';

/** What is known of a request by the time it is answered. */
export interface DecisionTrail {
  readonly startedAt: number;
  /** Where the call came from; only there when decisions are traced. */
  readonly origin: CheckOrigin | undefined;
  scanned: ScannedRequest | undefined;
  endpointId: string;
  revision: string;
  substituted: boolean;
  allow: string | undefined;
  /** Response headers that say where the caller stands with a limit; undefined where there is nothing to say. */
  rateFields: readonly Pair[] | undefined;
}

/** Who is told of answers, and what names them. */
export interface AnswerDeps {
  readonly newDecisionId: () => string;
  readonly observer: CheckObserver;
  /** Absent: there are no spans. */
  readonly trace?: CheckTrace | undefined;
}

/** Shards never see credentials; what the gateway does not set itself, nobody else may have set. */
const NOT_FOR_NODES = [HEADER.authorization, 'cookie', HEADER.runnerShard] as const;
const REMOVED_FOR_COMMAND = headersToRemove(NOT_FOR_NODES);
const REMOVED_FOR_SHARD = headersToRemove([...NOT_FOR_NODES, HEADER.commandId]);
const REMOVED_FOR_NAMED_SHARD = headersToRemove([...NOT_FOR_NODES, HEADER.commandId, HEADER.placementEpoch]);
const REMOVED_FOR_API = headersToRemove([HEADER.placementEpoch]);
const REMOVED_FOR_PLATFORM = headersToRemove([HEADER.placementEpoch, HEADER.tenantId]);
const REMOVED_FOR_PUBLIC = headersToRemove([
  HEADER.placementEpoch,
  HEADER.tenantId,
  HEADER.principalId,
  HEADER.principalKind,
]);

/** @param startedAt milliseconds of the monotonic clock */
export const beginTrail = (startedAt: number, origin?: CheckOrigin): DecisionTrail => ({
  startedAt,
  origin,
  scanned: undefined,
  endpointId: '',
  revision: '',
  substituted: false,
  allow: undefined,
  rateFields: undefined,
});

/** The `CheckResponse` that lets a request pass. */
export function answerAllowed(decision: Allowed, trail: DecisionTrail, deps: AnswerDeps): Buffer {
  const decisionId = deps.newDecisionId();
  const bytes = writeOk({
    headers: headersFor(decision, decisionId, trail),
    removed: removedFor(decision),
    responseHeaders: trail.rateFields,
    metadata: metadataFor({ decisionId, outcome: 'allow', reason: 'allowed', decision, trail }),
  });
  deps.observer.allowed(performance.now() - trail.startedAt);
  deps.trace?.(decision, decisionId, trail);
  return bytes;
}

/** The `CheckResponse` that refuses a request. */
export function answerDenied(decision: Denied, trail: DecisionTrail, deps: AnswerDeps): Buffer {
  const decisionId = deps.newDecisionId();
  const { scanned } = trail;
  const bytes = writeDenied(
    denialAnswer(decision, {
      decisionId,
      requestId: scanned?.requestId.read() ?? '',
      correlationId: scanned?.correlationId.read() ?? '',
      contentType: scanned?.contentType.read() ?? '',
      transcoded: scanned?.transcoded ?? false,
      sentCredentials: (scanned?.authorization ?? '').trim() !== '',
      allow: trail.allow,
      rateFields: trail.rateFields,
      metadata: metadataFor({ decisionId, outcome: 'deny', reason: decision.reason, decision, trail }),
    }),
  );
  deps.observer.denied(
    {
      decisionId,
      reason: decision.reason,
      detail: decision.detail,
      endpointId: trail.endpointId,
      principalId: decision.principalId,
      tenantId: decision.tenantId,
      requestId: scanned?.requestId.read(),
      correlationId: scanned?.correlationId.read(),
      traceparent: scanned?.traceparent.read(),
      source: scanned?.sourceAddress.read(),
      revision: trail.revision,
    },
    performance.now() - trail.startedAt,
  );
  deps.trace?.(decision, decisionId, trail);
  return bytes;
}

function headersFor(decision: Allowed, decisionId: string, trail: DecisionTrail): readonly Pair[] {
  const headers: Pair[] = [
    [HEADER.gatewayCluster, decision.place?.cluster ?? API_CLUSTER],
    [HEADER.decisionId, decisionId],
  ];
  const { principal, tenantId, place, commandId } = decision;
  if (tenantId !== undefined) headers.push([HEADER.tenantId, tenantId]);
  if (principal !== undefined) {
    headers.push([HEADER.principalId, principal.id], [HEADER.principalKind, principal.kind]);
  }
  if (place?.epoch !== undefined) headers.push([HEADER.placementEpoch, String(place.epoch)]);
  if (commandId !== undefined) {
    headers.push([HEADER.commandId, commandId]);
    // Envoy has made this header of the message; where an id came another way, it must be told.
    if (trail.scanned?.message.command_id[0] !== commandId) {
      headers.push([HEADER.gatewayCommandId, `["${commandId}"]`]);
    }
  }
  return headers;
}

function removedFor({ principal, tenantId, place, commandId }: Allowed): Buffer {
  if (commandId !== undefined) return REMOVED_FOR_COMMAND;
  if (place !== undefined) return place.epoch === undefined ? REMOVED_FOR_NAMED_SHARD : REMOVED_FOR_SHARD;
  if (principal === undefined) return REMOVED_FOR_PUBLIC;
  return tenantId === undefined ? REMOVED_FOR_PLATFORM : REMOVED_FOR_API;
}

/** What the access log says of a decision. */
function metadataFor(about: {
  readonly decisionId: string;
  readonly outcome: 'allow' | 'deny';
  readonly reason: string;
  readonly decision: Allowed | Denied;
  readonly trail: DecisionTrail;
}): readonly Pair[] {
  const { decision, trail } = about;
  const pairs: Pair[] = [
    ['decision_id', about.decisionId],
    ['outcome', about.outcome],
    ['reason', about.reason],
  ];
  const principalId = decision.outcome === 'allow' ? decision.principal?.id : decision.principalId;
  if (principalId !== undefined) pairs.push(['principal_id', principalId]);
  if (decision.tenantId !== undefined) pairs.push(['tenant_id', decision.tenantId]);
  if (trail.revision !== '') pairs.push(['revision', trail.revision]);
  if (trail.substituted) pairs.push(['revision_substituted', 'true']);
  if (decision.outcome === 'allow') pairs.push(['cluster', decision.place?.cluster ?? API_CLUSTER]);
  return pairs;
}
