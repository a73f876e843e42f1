import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { createCheckObserver } from '../../../src/authz/ext-authz/check-observer.ts';
import { createDecisionIds } from '../../../src/authz/ext-authz/decision-ids.ts';

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
    observer.denied(
      {
        decisionId: 'dec_a',
        reason: 'right_missing',
        detail: 'none',
        endpointId: 'query.read',
        principalId: 'usr_a',
        tenantId: 'acme',
        requestId: 'req-1',
        correlationId: 'corr-1',
        source: '192.0.2.7',
        revision: '7',
      },
      0.02,
    );
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
      source: '192.0.2.7',
    });
    const text = await metrics.registry.metrics();
    expect(text).toMatch(/gateway_authz_decisions_total\{outcome="allow",reason="allowed",service="test"\} 1/);
    expect(text).toMatch(/gateway_authz_decisions_total\{outcome="deny",reason="right_missing",service="test"\} 1/);
    expect(text).toMatch(/gateway_authz_decision_seconds_count\{service="test"\} 2/);
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
