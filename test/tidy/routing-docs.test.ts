import { expect, test } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import {
  BREAKER_DEFAULTS,
  BREAKER_NUMBERS,
  HEALTH_DEFAULTS,
  HEALTH_NUMBERS,
  type NumberSetting,
  OUTLIER_DEFAULTS,
  OUTLIER_NUMBERS,
  SHARD_NUMBERS,
} from '#domain/routing/shard-settings.ts';
import { parseRoutingDocument } from '../support/fixtures/routing-at-once.ts';
import { read, section, tableRows } from './tree.ts';

const DOCUMENT = read('docs/routing.md');

/** Member, default and range as the table has them. */
const rowsOf = (
  prefix: string,
  settings: readonly NumberSetting<string>[],
  defaults: Readonly<Record<string, number>>,
): readonly (readonly string[])[] =>
  settings.map(({ name, member, min, max }) => [
    `${prefix}${member}`,
    defaults[name] === undefined ? '-' : String(defaults[name]),
    `${min} to ${max}`,
  ]);

test('docs/routing.md has every number with its default, its range and a reason', () => {
  const rows = tableRows(section(DOCUMENT, '## Numbers'));
  expect(rows.map(([member, fallback, range]) => [member, fallback, range])).toEqual([
    ...rowsOf('', SHARD_NUMBERS, { connectTimeoutMs: LIMITS.upstreamConnectTimeoutMs }),
    ...rowsOf('health.', HEALTH_NUMBERS, HEALTH_DEFAULTS),
    ...rowsOf('outlier_detection.', OUTLIER_NUMBERS, OUTLIER_DEFAULTS),
    ...rowsOf('circuit_breakers.', BREAKER_NUMBERS, BREAKER_DEFAULTS),
  ]);
  for (const [member, , , why = ''] of rows) expect(why.length, member).toBeGreaterThan(10);
});

test('docs/routing.md has every member of a shard, by the list in a refusal', () => {
  const refused = parseRoutingDocument({ runner_shards: { s1: { endpoints: [], nonsense: 1 } } });
  const detail = refused.ok ? '' : (refused.error[0]?.detail ?? '');
  const known = detail.split('known: ')[1]?.split(', ') ?? [];
  const rows = tableRows(section(DOCUMENT, '## Members of a shard'));
  expect(known.length).toBeGreaterThan(0);
  expect(rows.map(([member]) => member).toSorted()).toEqual(known.toSorted());
});

test('the example of docs/routing.md is a routing document', () => {
  const [, example = ''] = /```json\n([\s\S]*?)```/.exec(DOCUMENT) ?? [];
  expect(parseRoutingDocument(JSON.parse(example))).toMatchObject({ ok: true });
});
