import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, read, section, tableRows } from './tree.ts';

/** How many numbers each chapter of the development plan has: requirements, and tests it names. */
const REQUIREMENTS = [3, 3, 4, 5, 4, 3, 2, 3, 5, 5];
const PLAN_TESTS = [3, 3, 3, 4, 3, 3, 3, 2, 4, 5];

const numbers = (counts: readonly number[], prefix: string): readonly string[] =>
  counts.flatMap((count, chapter) =>
    Array.from({ length: count }, (_, index) => `${prefix}${chapter + 1}.${index + 1}`),
  );

const document = read('docs/requirements.md');
const requirements = tableRows(section(document, '## Requirements'));
const planTests = tableRows(section(document, '## Tests of the plan'));

/** The state may be explained behind a colon: `part: all but forgot and reset`. */
const stateOf = (text: string | undefined): string => text?.split(':')[0] ?? '';

test('every requirement has its row, in order', () => {
  expect(requirements.map((row) => row[0])).toEqual(numbers(REQUIREMENTS, ''));
});

test('every test that the plan names has its row, in order', () => {
  expect(planTests.map((row) => row[0])).toEqual(numbers(PLAN_TESTS, 'T'));
});

test('the state is one of three words, and what is done or begun names where', () => {
  for (const [number, , text, where, proof] of requirements) {
    const state = stateOf(text);
    expect(['done', 'part', 'not yet'], number).toContain(state);
    if (state === 'not yet') continue;
    expect(where, number).toMatch(/\//);
    expect(proof, number).toMatch(/test\//);
  }
  for (const [number, , text, proof] of planTests) {
    const state = stateOf(text);
    expect(['done', 'part', 'not yet'], number).toContain(state);
    if (state !== 'not yet') expect(proof, number).toMatch(/test\//);
  }
});

test('every test file that is named exists', () => {
  const named = [...document.matchAll(/`(test\/[^`*{]+)`/g)].map((match) => match[1] ?? '');
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});
