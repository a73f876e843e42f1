import { expect, test } from 'vitest';
import { ERRORS } from '../../src/domain/errors.ts';
import { read, section, tableRows } from './tree.ts';

/** Names of google.rpc.Code, as the documentation writes them. */
const GRPC_NAMES: Readonly<Record<number, string>> = {
  3: 'INVALID_ARGUMENT',
  4: 'DEADLINE_EXCEEDED',
  5: 'NOT_FOUND',
  7: 'PERMISSION_DENIED',
  8: 'RESOURCE_EXHAUSTED',
  9: 'FAILED_PRECONDITION',
  10: 'ABORTED',
  12: 'UNIMPLEMENTED',
  14: 'UNAVAILABLE',
  16: 'UNAUTHENTICATED',
};

test('docs/errors.md lists exactly the codes, statuses and titles of src/domain/errors.ts, in its order', () => {
  const documented = tableRows(section(read('docs/errors.md'), '## Codes')).map(([code, status, grpc, title]) => [
    code,
    status,
    grpc,
    title,
  ]);
  const wanted = Object.entries(ERRORS).map(([code, entry]) => [
    code,
    String(entry.status),
    GRPC_NAMES[entry.grpc],
    entry.title,
  ]);
  expect(documented).toEqual(wanted);
});
