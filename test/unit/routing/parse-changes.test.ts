import { describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { parseChanges } from '#domain/routing/parse-changes.ts';
import { routingDocument, snapshotOf } from '../../support/routing.ts';

const current = snapshotOf({
  ...routingDocument({ acme: 's1' }),
  runner_shards: { s1: { endpoints: [{ address: '10.0.0.5', port: 1 }] }, empty: { endpoints: [] } },
});

const mistakesIn = (value: unknown, snapshot = current) => {
  const parsed = parseChanges(value, snapshot);
  return parsed.ok ? [] : parsed.error.map(({ pointer, code }) => [pointer, code]);
};

describe('parseChanges', () => {
  it('reads moves, first placements and removals', () => {
    const changes = [
      { tenant: 'acme', aggregate: 's2', runner: null },
      { tenant: 'newcomer', projection: 's1' },
    ];
    const parsed = parseChanges({ changes, note: 'why' }, current);
    expect(parsed).toEqual({ ok: true, value: { changes, note: 'why' } });
  });

  it('reports every mistake at once', () => {
    const changes = [
      { tenant: 'acme', aggregate: 's9', projection: 7, runner: 'empty' },
      { tenant: 'acme', aggregate: 's1' },
      { tenant: 'Acme', aggregate: 's1' },
      { aggregate: 's1', speed: 1 },
      { tenant: 'globex' },
      'move',
    ];
    expect(mistakesIn({ changes, note: 7, by: 'me' })).toEqual([
      ['/by', 'unknown_member'],
      ['/note', 'wrong_type'],
      ['/changes/0/aggregate', 'unknown_shard'],
      ['/changes/0/projection', 'wrong_type'],
      ['/changes/0/runner', 'empty_shard'],
      ['/changes/1/tenant', 'duplicate_tenant'],
      ['/changes/2/tenant', 'invalid_tenant_id'],
      ['/changes/3/speed', 'unknown_member'],
      ['/changes/3/tenant', 'missing'],
      ['/changes/4', 'missing'],
      ['/changes/5', 'wrong_type'],
    ]);
  });

  it.each([
    [{}, '/changes', 'missing'],
    [{ changes: [] }, '/changes', 'wrong_type'],
    [{ changes: {} }, '/changes', 'wrong_type'],
    [[], '', 'wrong_type'],
    [{ changes: [{ tenant: 'a', runner: 's1' }], note: 'x'.repeat(LIMITS.noteMaxChars + 1) }, '/note', 'too_many'],
  ])('refuses %j', (value, pointer, code) => {
    expect(mistakesIn(value)).toEqual([[pointer, code]]);
  });

  it('knows no shard before the first revision', () => {
    const parsed = parseChanges({ changes: [{ tenant: 'acme', runner: 's1' }] }, undefined);
    expect(parsed.ok ? [] : parsed.error.map(({ code }) => code)).toEqual(['unknown_shard']);
  });
});
