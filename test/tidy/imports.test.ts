import { expect, test } from 'vitest';
import { importMistakes, specifiersOf } from './import-rules.ts';
import { filesIn, read, withoutComments } from './tree.ts';

const SOURCES = filesIn(['src/', 'xds/', 'scripts/', 'bin/', 'test/', 'bench/']).filter((file) =>
  /\.(ts|mjs)$/.test(file),
);

test('every import goes in an allowed direction', () => {
  const mistakes = SOURCES.flatMap((file) => importMistakes(file, specifiersOf(withoutComments(read(file)))));
  expect(mistakes).toEqual([]);
});

test('the sources are really looked at', () => {
  expect(SOURCES.length).toBeGreaterThan(100);
  expect(specifiersOf(read('src/cli/main.ts'))).toContain('./run.ts');
});

/** The canary: each of these must be refused, or the test above proves nothing. */
test.each([
  ['src/domain/x.ts', 'node:fs'],
  ['src/domain/x.ts', 'yaml'],
  ['src/domain/x.ts', '#ports/clock.ts'],
  ['src/domain/routing/x.ts', '../../ports/clock.ts'],
  ['src/ports/x.ts', '#app/publish-revision.ts'],
  ['src/app/x.ts', '#adapters/nats/connection.ts'],
  ['src/app/x.ts', 'node:crypto'],
  ['src/adapters/nats/x.ts', '#adapters/memory/key-value-store.ts'],
  ['src/adapters/nats/x.ts', '../memory/key-value-store.ts'],
  ['src/adapters/nats/x.ts', '#app/publish-revision.ts'],
  ['src/platform/x.ts', '#domain/endpoints.ts'],
  ['src/authz/http/x.ts', '#adapters/nats/connection.ts'],
  ['src/authz/http/x.ts', '@nats-io/kv'],
  ['src/authz/http/x.ts', '../../hasher/server.ts'],
  ['src/authz/main.ts', '../../xds/server.ts'],
  ['src/authz/http/x.ts', '../compose/storage.ts'],
  ['src/authz/compose/x.ts', '../../hasher/server.ts'],
  ['src/cli/x.ts', '#app/publish-revision.ts'],
  ['src/cli/x.ts', 'fastify'],
  ['xds/translate/x.ts', 'node:crypto'],
  ['xds/translate/x.ts', '../ads/server.ts'],
  ['xds/ads/x.ts', '../translate/listener.ts'],
  ['xds/snapshot/x.ts', '#domain/routing/types.ts'],
  ['xds/x.ts', '#adapters/nats/connection.ts'],
  ['test/unit/x.test.ts', '../../src/authz/main.ts'],
  ['scripts/x.mjs', '../src/cli/run.ts'],
  ['scripts/x.mjs', 'yaml'],
  ['elsewhere/x.ts', './y.ts'],
])('%s must not import %s', (file, specifier) => {
  expect(importMistakes(file, [specifier])).toHaveLength(1);
});

test('all ways of importing are seen', () => {
  const text = `import 'a';\nimport b from 'b';\nimport { c } from "c";\nexport * from 'd';\nconst e = await import('e');\nimport type {\n  F,\n} from 'f';`;
  expect(specifiersOf(text)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
});
