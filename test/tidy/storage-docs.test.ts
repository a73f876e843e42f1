import { expect, test } from 'vitest';
import * as routingKeys from '../../src/adapters/routing/keys.ts';
import { DECISION_FILTERS, iamKey } from '../../src/domain/identity/records.ts';
import { read, section, tableRows } from './tree.ts';

/** A documented key pattern with every `{name}` made equal. */
const pattern = (text: string): string => text.replaceAll(/\{[^}]+\}/g, '{}');

const documentedKeys = (heading: string): readonly string[] =>
  tableRows(section(read('docs/storage.md'), heading))
    .map((row) => pattern(row[0] ?? ''))
    .toSorted();

test('docs/storage.md lists exactly the keys of bucket IAM', () => {
  // Every parameter is a part of the key, so any text stands for it; the purpose is one of a closed list.
  const keys = Object.values(iamKey).map((make) => Reflect.apply(make, undefined, ['{}', '{}']));
  expect(documentedKeys('## Bucket IAM')).toEqual(keys.map(String).toSorted());
});

test('docs/storage.md names the filters that a deciding process watches', () => {
  const text = section(read('docs/storage.md'), '## Bucket IAM');
  expect(DECISION_FILTERS.filter((filter) => !text.includes(`\`${filter}\``))).toEqual([]);
});

test('docs/storage.md lists exactly the keys of bucket ROUTING', () => {
  const keys = Object.entries(routingKeys).flatMap(([name, value]) => {
    if (typeof value === 'string') return name.endsWith('_KEY') ? [value] : [];
    return [String(Reflect.apply(value, undefined, ['{}']))];
  });
  expect(documentedKeys('## Bucket ROUTING')).toEqual(keys.toSorted());
});
