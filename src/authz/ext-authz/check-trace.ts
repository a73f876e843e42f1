import type { Allowed, Denied } from '#domain/access/decide.ts';
import type { Tracing } from '#platform/tracing/tracing.ts';
import type { DecisionTrail } from './answer-decision.ts';

/** What a call says of itself besides its message. */
export interface CheckOrigin {
  /** When it came, milliseconds of the monotonic clock: the time that a revision was waited for counts. */
  readonly startedAt: number;
  /** Envoy's span of the call. */
  readonly traceparent: string | undefined;
}

/** Is told of every decision where decisions are traced. */
export type CheckTrace = (decision: Allowed | Denied, decisionId: string, trail: DecisionTrail) => void;

/**
 * A span of each decision whose request is recorded, made when it is over; any other costs a look at its `traceparent`.
 * A denial is an answer, not a failure of this service: its span has no error.
 */
export function createCheckTrace(tracing: Tracing): CheckTrace {
  return (decision, decisionId, trail) => {
    const traceparent = trail.origin?.traceparent ?? trail.scanned?.traceparent.read();
    if (!tracing.wants(traceparent)) return;
    tracing.record({
      name: 'ext_authz check',
      kind: 'server',
      traceparent,
      startMs: trail.origin?.startedAt ?? trail.startedAt,
      endMs: performance.now(),
      attributes: {
        'gateway.outcome': decision.outcome,
        'gateway.reason': decision.outcome === 'allow' ? 'allowed' : decision.reason,
        'gateway.decision_id': decisionId,
        'gateway.endpoint': trail.endpointId,
        'gateway.tenant_id': decision.tenantId,
        'gateway.revision': trail.revision === '' ? undefined : trail.revision,
        'gateway.cluster': decision.outcome === 'allow' ? decision.place?.cluster : undefined,
      },
    });
  };
}
