import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { createCheckObserver, type DenialRecord } from '../../../src/authz/ext-authz/check-observer.ts';
import { createDecisionIds } from '../../../src/authz/ext-authz/decision-ids.ts';

const DENIAL: DenialRecord = {
  decisionId: 'dec_a',
  reason: 'right_missing',
  detail: 'none',
  endpointId: 'query.read',
  principalId: 'usr_a',
  tenantId: 'acme',
  requestId: 'req-1',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  correlationId: 'corr-1',
  source: '192.0.2.7',
  revision: '7',
};

describe('the check observer', () => {
  it('counts every decision and logs the denied ones with all that finds them again', async () => {
    const lines: string[] = [];
    const destination = new Writable({
      write: (chunk, _encoding, done) => {
        lines.push(String(chunk));
        done();
      },
    });
    const metrics = createMetrics('test');
    const observer = createCheckObserver({ metrics, log: createLog({ service: 'test', destination }) });
    observer.allowed(0.004);
    observer.denied(DENIAL, 0.02);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      msg: 'denied',
      decision_id: 'dec_a',
      reason: 'right_missing',
      endpoint: 'query.read',
      principal_id: 'usr_a',
      tenant_id: 'acme',
      request_id: 'req-1',
      correlation_id: 'corr-1',
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      span_id: 'b7ad6b7169203331',
      source: '192.0.2.7',
    });
    const text = await metrics.registry.metrics();
    expect(text).toMatch(/gateway_authz_decisions_total\{outcome="allow",reason="allowed",service="test"\} 1/);
    expect(text).toMatch(/gateway_authz_decisions_total\{outcome="deny",reason="right_missing",service="test"\} 1/);
    expect(text).toMatch(/gateway_authz_decision_seconds_count\{service="test"\} 2/);
  });

  it('logs a flood of refusals by limits in part, counts all of it, and says how many it left out', async () => {
    const lines: { readonly msg: string; readonly reason?: string; readonly count?: number }[] = [];
    const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
    const metrics = createMetrics('test');
    const clock = { ms: 5_000 };
    const log = createLog({ service: 'test', destination });
    const observer = createCheckObserver({ metrics, log, now: () => clock.ms });
    const deny = (reason: DenialRecord['reason']) => observer.denied({ ...DENIAL, reason }, 0.02);
    for (let index = 0; index < 1_000; index += 1) deny('rate_limited');
    expect(lines).toHaveLength(100);
    deny('right_missing');
    expect(lines.at(-1)?.reason).toBe('right_missing');
    clock.ms = 6_000;
    deny('rate_limited');
    expect(lines.slice(-2)).toMatchObject([{ count: 900 }, { reason: 'rate_limited' }]);
    const text = await metrics.registry.metrics();
    expect(text).toMatch(/gateway_authz_decisions_total\{outcome="deny",reason="rate_limited",service="test"\} 1001/);
  });
});

describe('decision ids', () => {
  it('are well formed and never the same', () => {
    const newId = createDecisionIds();
    const ids = Array.from({ length: 20_000 }, newId);
    expect(ids.every((id) => /^dec_[a-z2-7]{26}$/.test(id))).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
