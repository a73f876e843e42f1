import { expect, test } from 'vitest';
import { filesIn, read, section, tableRows, withoutComments } from './tree.ts';

/** Programs and scripts; tests and benches set variables for them and add none of their own. */
const READERS = filesIn(['src/', 'xds/', 'scripts/', 'bin/', 'bench/', 'test/nodes/', 'test/support/']).filter((file) =>
  /\.(ts|mjs)$/.test(file),
);
const CONSTANT = /\bconst ((?:GATEWAY|NODE)_[A-Z0-9_]+)\b/g;
const VARIABLE = /\b(?:GATEWAY|NODE)_[A-Z][A-Z0-9_]*\b/g;

/** Names of variables in the texts; constants of ours that merely begin alike are none. */
function variablesIn(texts: readonly string[]): ReadonlySet<string> {
  const constants = new Set(texts.flatMap((text) => [...text.matchAll(CONSTANT)].map((match) => match[1] ?? '')));
  return new Set(texts.flatMap((text) => text.match(VARIABLE) ?? []).filter((name) => !constants.has(name)));
}

test('docs/config.md lists exactly the variables that the sources name', () => {
  const used = variablesIn(READERS.map((file) => withoutComments(read(file))));
  const documented = tableRows(section(read('docs/config.md'), '## Variables')).map((row) => row[0] ?? '');
  expect(documented.toSorted()).toEqual([...new Set(documented)].toSorted());
  expect(documented.toSorted()).toEqual([...used].toSorted());
});

test('the variables are really found', () => {
  expect(variablesIn([read('src/authz/config.ts')])).toContain('GATEWAY_NATS_URL');
  expect([...variablesIn(["const NODE_ID = 1; f(NODE_ID); env['NODE_KIND']; ({ GATEWAY_PORT: 1 })"])]).toEqual([
    'NODE_KIND',
    'GATEWAY_PORT',
  ]);
});
