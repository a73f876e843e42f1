import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAccessLine } from '#domain/logs/access-line.ts';
import {
  API_UPSTREAM_CLUSTER,
  judgeAccessLine,
  LINE_MISTAKES,
  type LineJudgement,
} from '#domain/logs/judge-access-line.ts';
import { STATIC_CLUSTERS } from '../../../xds/translate/names.ts';

/** A query that was routed as it was decided. */
const ROUTED = {
  decision_id: 'dec_1',
  outcome: 'allow',
  reason: 'allowed',
  decided_revision: '7',
  decided_cluster: 'projection/s1',
  routed_revision: '7',
  upstream_cluster: 'projection/s1',
  upstream_host: '127.0.0.1:9000',
  status: 200,
};
const { upstream_cluster: _, upstream_host: __, ...UNROUTED } = ROUTED;
const DENIED = {
  decision_id: 'dec_2',
  outcome: 'deny',
  reason: 'tenant_forbidden',
  decided_revision: '7',
  routed_revision: '7',
  status: 403,
};
const UNDECIDED = { routed_revision: '7', status: 200, path: '/health' };

function judge(line: Readonly<Record<string, unknown>>): LineJudgement {
  const parsed = parseAccessLine(JSON.stringify(line));
  if (!parsed.ok) throw new Error(parsed.error);
  return judgeAccessLine(parsed.value);
}

describe('a line without a mistake', () => {
  it.each([
    ['routed', ROUTED, 'equal'],
    ['routed', { ...ROUTED, decided_revision: '9', revision_substituted: 'true' }, 'substituted'],
    ['routed', { ...ROUTED, decided_cluster: 'api', upstream_cluster: 'authz_api' }, 'equal'],
    ['unrouted', UNROUTED, 'equal'],
    ['denied', DENIED, 'equal'],
    ['denied', { ...DENIED, decided_revision: undefined }, undefined],
    ['undecided', UNDECIDED, undefined],
    ['undecided', { status: 431 }, undefined],
  ] as const)('is %s: %j', (fate, line, revision) => {
    expect(judge(line)).toEqual({ fate, revision, mistakes: [] });
  });

  it('knows the cluster of the API as Envoy has it', () => {
    expect(API_UPSTREAM_CLUSTER).toBe(STATIC_CLUSTERS.authzApi);
  });
});

describe('a mistake', () => {
  it.each([
    ['cluster_differs', { ...ROUTED, upstream_cluster: 'projection/s2' }],
    ['cluster_differs', { ...ROUTED, upstream_cluster: undefined }],
    ['cluster_differs', { ...ROUTED, decided_cluster: 'api', upstream_cluster: 'api' }],
    ['decided_cluster_missing', { ...ROUTED, decided_cluster: undefined }],
    ['revision_older', { ...ROUTED, decided_revision: '6' }],
    ['revision_older', { ...ROUTED, decided_revision: '6', revision_substituted: 'true' }],
    ['revision_newer_unmarked', { ...ROUTED, decided_revision: '8' }],
    ['revision_newer_unmarked', { ...DENIED, decided_revision: '8' }],
    ['revision_missing', { ...ROUTED, decided_revision: undefined }],
    ['revision_missing', { ...ROUTED, routed_revision: undefined }],
    ['revision_missing', { ...DENIED, routed_revision: undefined }],
    ['decision_id_missing', { ...ROUTED, decision_id: undefined }],
    ['decision_id_missing', { ...DENIED, decision_id: undefined }],
    ['reason_missing', { ...DENIED, reason: undefined }],
    ['outcome_unknown', { ...UNROUTED, outcome: 'perhaps' }],
    ['outcome_unknown', { ...UNROUTED, outcome: undefined }],
    ['routed_without_decision', { ...UNDECIDED, upstream_cluster: 'projection/s1' }],
    ['routed_without_decision', { ...UNDECIDED, upstream_host: '127.0.0.1:9000' }],
    ['routed_though_denied', { ...DENIED, upstream_host: '127.0.0.1:9000' }],
  ] as const)('%s is found: %j', (mistake, line) => {
    expect(judge(line).mistakes).toEqual([mistake]);
    expect(LINE_MISTAKES[mistake]).not.toBe('');
  });
});

describe('a line that cannot be read', () => {
  it.each([
    ['', 'the line is no JSON'],
    ['{"decision_id":', 'the line is no JSON'],
    ['[]', 'the line is no JSON object'],
    ['null', 'the line is no JSON object'],
    ['{"decided_revision":"07"}', 'decided_revision is no revision'],
    ['{"routed_revision":-1,"outcome":3}', 'outcome is no text, routed_revision is no revision'],
  ])('says why: %s', (text, why) => {
    expect(parseAccessLine(text)).toEqual({ ok: false, error: why });
  });

  it('never throws, whatever the line is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const parsed = parseAccessLine(text);
        if (parsed.ok) judgeAccessLine(parsed.value);
      }),
    );
  });
});

describe('whatever happened', () => {
  const member = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });
  const cluster = fc.constantFrom('api', 'authz_api', 'projection/s1', 'aggregate/s1');
  const revision = fc.integer({ min: 0, max: 4 }).map(String);
  const line = fc.record({
    decision_id: member(fc.constant('dec_1')),
    outcome: member(fc.constantFrom('allow', 'deny', 'other')),
    reason: member(fc.constant('right_missing')),
    decided_revision: member(revision),
    routed_revision: member(revision),
    revision_substituted: member(fc.constant('true')),
    decided_cluster: member(cluster),
    upstream_cluster: member(cluster),
    upstream_host: member(fc.constant('127.0.0.1:9000')),
  });

  it('a line without a mistake that was sent somewhere was allowed, for that place, at that revision', () => {
    fc.assert(
      fc.property(line, (members) => {
        const { mistakes, fate, revision: relation } = judge(members);
        const wasSent = members.upstream_cluster !== undefined || members.upstream_host !== undefined;
        if (mistakes.length > 0 || !wasSent) return;
        expect(fate).toBe('routed');
        expect(members.outcome).toBe('allow');
        expect(members.decision_id).toBeDefined();
        const chosen = members.decided_cluster === 'api' ? 'authz_api' : members.decided_cluster;
        expect(members.upstream_cluster).toBe(chosen);
        const lead = Number(members.decided_revision) - Number(members.routed_revision);
        if (relation === 'equal') expect(lead).toBe(0);
        else expect([lead > 0, members.revision_substituted]).toEqual([true, 'true']);
      }),
      { numRuns: 2_000 },
    );
  });

  it('a sound line with one change that matters is no longer sound', () => {
    const change = fc.constantFrom<Readonly<Record<string, unknown>>>(
      { outcome: undefined },
      { outcome: 'deny', reason: 'allowed' },
      { decision_id: undefined },
      { decided_cluster: 'projection/other' },
      { upstream_cluster: 'projection/other' },
      { routed_revision: '8' },
      { decided_revision: '6' },
      { decided_revision: '8' },
    );
    fc.assert(
      fc.property(change, (changed) => {
        expect(judge({ ...ROUTED, ...changed }).mistakes).not.toEqual([]);
      }),
    );
  });
});
