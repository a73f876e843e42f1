import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headersToRemove, writeDenied, writeOk } from '../../../src/authz/ext-authz/wire/write-check-response.ts';
import { decodeAnswer } from '../../support/check-fixture.ts';

const visible = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_./: '), minLength: 1, maxLength: 200 });
const pairs = fc.array(fc.tuple(visible, visible), { maxLength: 12 });
const options = (list: readonly (readonly [string, string])[]) =>
  list.map(([key, value]) => ({ header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }));
const distinct = (list: readonly (readonly [string, string])[]) => [...new Map(list).entries()];
const unlessEmpty = (name: string, list: readonly unknown[]) => (list.length === 0 ? {} : { [name]: list });

describe('answers, as protobuf-es reads them', () => {
  it('that allow', () => {
    fc.assert(
      fc.property(pairs, fc.array(visible, { maxLength: 5 }), pairs, (headers, removed, metadata) => {
        const fields = distinct(metadata);
        const answer = decodeAnswer(writeOk({ headers, removed: headersToRemove(removed), metadata: fields }));
        expect(answer).toEqual({
          status: {},
          ok_response: { ...unlessEmpty('headers', options(headers)), ...unlessEmpty('headers_to_remove', removed) },
          dynamic_metadata: Object.fromEntries(fields),
        });
      }),
    );
  });

  it('that deny', () => {
    fc.assert(
      fc.property(
        pairs,
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3_000 }),
        fc.integer({ min: 1, max: 16 }),
        (headers, body, grpcStatus) => {
          const answer = decodeAnswer(writeDenied({ httpStatus: 403, grpcStatus, headers, body, metadata: [] }));
          expect(answer).toEqual({
            status: { code: grpcStatus },
            denied_response: { status: { code: 'Forbidden' }, ...unlessEmpty('headers', options(headers)), body },
            dynamic_metadata: {},
          });
        },
      ),
    );
  });

  it('are never a denial that says OK, nor longer than their block', () => {
    const denial = { httpStatus: 403, headers: [], metadata: [] };
    expect(() => writeDenied({ ...denial, grpcStatus: 0, body: '' })).toThrow(RangeError);
    expect(() => writeDenied({ ...denial, grpcStatus: 7, body: 'x'.repeat(70_000) })).toThrow(RangeError);
  });
});
