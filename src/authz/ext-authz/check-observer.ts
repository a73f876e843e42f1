import { ERROR_CODES, type ErrorCode } from '#domain/errors.ts';
import type { Log } from '#platform/log.ts';
import type { Metrics } from '#platform/metrics.ts';

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

/** Counts decisions by outcome and reason, measures them, and logs the denied ones (allowed ones: Envoy's access log). */
export function createCheckObserver(options: { readonly metrics: Metrics; readonly log: Log }): CheckObserver {
  const { metrics, log } = options;
  const decisions = metrics.counter('gateway_authz_decisions_total', 'Decisions of ext_authz.', ['outcome', 'reason']);
  const duration = metrics.histogram('gateway_authz_decision_seconds', 'Time of one decision, without transport.', {
    buckets: BUCKETS_SECONDS,
  });
  // The children are made beforehand: looking one up by its labels costs more than counting.
  const allowed = decisions.labels('allow', 'allowed');
  const denied = new Map(ERROR_CODES.map((code) => [code, decisions.labels('deny', code)]));
  return {
    allowed: (durationMs) => {
      allowed.inc();
      duration.observe(durationMs / 1000);
    },
    denied: (denial, durationMs) => {
      denied.get(denial.reason)?.inc();
      duration.observe(durationMs / 1000);
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
          source: denial.source,
          revision: denial.revision,
        },
        'denied',
      );
    },
  };
}
