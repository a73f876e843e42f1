import { type AuditRecord, IAM_SCHEMA } from './records.ts';

/** Who asks, and the request it came with: what every audit record says. */
export interface CallContext {
  readonly actor: AuditRecord['actor'];
  readonly requestId?: string;
  readonly correlationId?: string;
  /** Where Envoy accepted the request from; absent for requests that did not come through Envoy. */
  readonly clientAddress?: string;
}

export const ANONYMOUS: AuditRecord['actor'] = { id: 'anonymous', kind: 'anonymous' };
export const SYSTEM: AuditRecord['actor'] = { id: 'system', kind: 'system' };

/** The audit record of one mutation, to be written in the same commit. `data` holds ids and settings, never a secret. */
export function auditRecord(options: {
  readonly id: string;
  readonly nowMs: number;
  readonly context: CallContext;
  readonly action: string;
  readonly target: AuditRecord['target'];
  readonly tenantId?: string | null;
  readonly data?: Readonly<Record<string, unknown>>;
}): AuditRecord {
  const { context } = options;
  return {
    schema: IAM_SCHEMA,
    id: options.id,
    at: new Date(options.nowMs).toISOString(),
    actor: context.actor,
    action: options.action,
    target: options.target,
    tenantId: options.tenantId ?? null,
    ...(context.requestId === undefined ? {} : { requestId: context.requestId }),
    ...(context.correlationId === undefined ? {} : { correlationId: context.correlationId }),
    ...(options.data === undefined ? {} : { data: options.data }),
  };
}
