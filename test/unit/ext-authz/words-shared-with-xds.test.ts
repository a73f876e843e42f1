import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileEndpoints } from '#domain/access/match-endpoint.ts';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { CONTEXT_EXTENSION } from '../../../src/authz/ext-authz/wire/check-request-names.ts';
import { FIELD_EXTRACTION } from '../../../src/authz/ext-authz/wire/scan-extracted-fields.ts';
import { extAuthz } from '../../../xds/translate/filters/ext-authz.ts';
import { CONTEXT, FILTERS } from '../../../xds/translate/names.ts';
import { pathRegex } from '../../../xds/translate/routes/path-regex.ts';

// The two programs share no code for this, and a difference would deny every request.
test('the route table and the decision service speak the same words', () => {
  expect(CONTEXT_EXTENSION).toEqual(CONTEXT);
  expect(FIELD_EXTRACTION).toBe(FILTERS.fieldExtraction);
});

test('a path is that of an endpoint for both or for neither, and of the same kind', () => {
  const { match } = compileEndpoints(ENDPOINTS);
  const targets = [...new Set(ENDPOINTS.map(({ target }) => target))];
  const patterns = targets.map((target) => {
    const paths = ENDPOINTS.filter((row) => row.target === target).flatMap((row) => [
      row.path,
      row.grpcPath ?? row.path,
    ]);
    return { target, regex: new RegExp(`^${pathRegex(paths)}$`) };
  });
  const segment = fc.oneof(
    fc.constantFrom(...ENDPOINTS.flatMap((row) => [row.path, row.grpcPath ?? '']).flatMap((path) => path.split('/'))),
    fc.constantFrom('x', '', 'a%20b', 'admin', 'v1', '{rest...}'),
  );
  const methods = [...new Set(ENDPOINTS.map(({ method }) => method))];
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
      const path = `/${segments.join('/')}`;
      fc.pre(!path.includes('//'));
      const ours = new Set(
        methods.flatMap((method) => {
          const found = match(method, path);
          return found.kind === 'row' ? [found.row.target] : [];
        }),
      );
      const theirs = patterns.filter(({ regex }) => regex.test(path)).map(({ target }) => target);
      expect([...ours].sort()).toEqual(theirs.sort());
    }),
    { numRuns: 3_000 },
  );
});

test('Envoy sends every header that a decision or its answer is made of', () => {
  const filter = JSON.stringify(extAuthz());
  for (const name of [
    'authorization',
    'x-tenant-id',
    'x-request-id',
    'x-correlation-id',
    'content-type',
    'x-command-id',
    'idempotency-key',
    'x-runner-shard',
    'x-envoy-original-method',
  ]) {
    expect(filter).toContain(`"exact":"${name}"`);
  }
  expect(filter).toContain('"encode_raw_headers":true');
});
