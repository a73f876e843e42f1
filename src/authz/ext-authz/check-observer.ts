import { ERROR_CODES, type ErrorCode } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Log } from '#platform/log.ts';
import type { Metrics } from '#platform/metrics.ts';
import { traceFields } from '#platform/tracing/tracing.ts';

/** A denial as the on-call engineer finds it by its decision id. Holds no secret. */
export interface DenialRecord {
  readonly decisionId: string;
  readonly reason: ErrorCode;
  readonly detail: string;
  /** '' where the request is for no known endpoint. */
  readonly endpointId: string;
  readonly principalId: string | undefined;
  readonly tenantId: string | undefined;
  readonly requestId: string | undefined;
  readonly correlationId: string | undefined;
  /** The edge's span of the request. */
  readonly traceparent: string | undefined;
  readonly source: string | undefined;
  /** Routing revision decided at; '' where it played no part. */
  readonly revision: string;
}

/** Is told of every decision; must be quick. Durations in milliseconds. */
export interface CheckObserver {
  allowed(durationMs: number): void;
  denied(denial: DenialRecord, durationMs: number): void;
}

const BUCKETS_SECONDS = [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2] as const;

/**
 * Counts decisions by outcome and reason, measures them, and logs the denied ones (allowed ones: Envoy's access log). Of
 * those that a limit refused it logs so many in a second: a flood must not become one of the log. The access log has all.
 */
export function createCheckObserver(options: {
  readonly metrics: Metrics;
  readonly log: Log;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}): CheckObserver {
  const { metrics, log, now = () => performance.now() } = options;
  const decisions = metrics.counter('gateway_authz_decisions_total', 'Decisions of ext_authz.', ['outcome', 'reason']);
  const duration = metrics.histogram('gateway_authz_decision_seconds', 'Time of one decision, without transport.', {
    buckets: BUCKETS_SECONDS,
  });
  // The children are made beforehand: looking one up by its labels costs more than counting.
  const allowed = decisions.labels('allow', 'allowed');
  const isTooMuch = createPace(now, (count) => log.info({ count }, 'refusals by limits that are not in this log'));
  const denied = new Map(ERROR_CODES.map((code) => [code, decisions.labels('deny', code)]));
  return {
    allowed: (durationMs) => {
      allowed.inc();
      duration.observe(durationMs / 1000);
    },
    denied: (denial, durationMs) => {
      denied.get(denial.reason)?.inc();
      duration.observe(durationMs / 1000);
      if (denial.reason === 'rate_limited' && isTooMuch()) return;
      log.info(
        {
          decision_id: denial.decisionId,
          reason: denial.reason,
          detail: denial.detail,
          endpoint: denial.endpointId,
          principal_id: denial.principalId,
          tenant_id: denial.tenantId,
          request_id: denial.requestId,
          correlation_id: denial.correlationId,
          ...traceFields(denial.traceparent),
          source: denial.source,
          revision: denial.revision,
        },
        'denied',
      );
    },
  };
}

/** Says of each line whether it is one too many for its second; how many those were is told when they have ended. */
function createPace(now: () => number, tell: (count: number) => void): () => boolean {
  let [second, lines] = [0, 0];
  return () => {
    const current = Math.floor(now() / 1_000);
    if (current !== second) {
      if (lines > LIMITS.limitRefusalsLoggedPerSecond) tell(lines - LIMITS.limitRefusalsLoggedPerSecond);
      [second, lines] = [current, 0];
    }
    lines += 1;
    return lines > LIMITS.limitRefusalsLoggedPerSecond;
  };
}
