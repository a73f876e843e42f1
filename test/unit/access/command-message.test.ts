import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandIdOf, mismatches, omissions } from '#domain/access/command-message.ts';

const message = { aggregate_type: ['order'], aggregate_id: ['42'], command_id: ['c1'] };

describe('the message of a command', () => {
  it('is whole when each field is there once', () => {
    expect(omissions(message, undefined)).toEqual([]);
  });

  it.each([
    [[], 'required'],
    [[''], 'required'],
    [['a', 'b'], 'ambiguous'],
  ])('%j is not one value: %s', (values, code) => {
    expect(omissions({ ...message, aggregate_id: values }, undefined)).toEqual([
      { pointer: '/aggregate_id', code, detail: expect.any(String) },
    ]);
  });

  it('names all mistakes at once, that of its id last', () => {
    const id = { pointer: '/command_id', code: 'required', detail: 'x' };
    const errors = omissions({ aggregate_type: [], aggregate_id: [], command_id: [] }, id);
    expect(errors.map(({ pointer }) => pointer)).toEqual(['/aggregate_type', '/aggregate_id', '/command_id']);
  });

  it('says the same as its path', () => {
    const path = new Map([
      ['aggregate_type', 'order'],
      ['aggregate_id', '42'],
    ]);
    expect(mismatches(message, path)).toEqual([]);
    const other = mismatches({ ...message, aggregate_type: ['invoice'] }, path);
    expect(other).toEqual([{ pointer: '/aggregate_type', code: 'mismatch', detail: expect.any(String) }]);
  });

  it('does not agree with a path that could not be read, nor when it says nothing itself', () => {
    expect(mismatches(message, new Map([['aggregate_id', undefined]]))).toHaveLength(1);
    expect(mismatches({ ...message, aggregate_id: [] }, new Map([['aggregate_id', undefined]]))).toHaveLength(1);
  });
});

describe('the id of a command', () => {
  it.each([
    ['the message alone', ['c1'], [], 'c1'],
    ['a header alone', [], ['k1'], 'k1'],
    ['a header beside an empty field', [''], ['k1'], 'k1'],
    ['both headers', [], ['k1', 'k1'], 'k1'],
    ['all three', ['c1'], ['c1', 'c1'], 'c1'],
  ] as const)('is what %s says', (_, said, headers, id) => {
    expect(commandIdOf(said, headers)).toBe(id);
  });

  it.each([
    ['nothing says it', [], [], 'required'],
    ['the field is empty', [''], [], 'required'],
    ['the message says it twice', ['c1', 'c1'], [], 'ambiguous'],
    ['a header is there twice', [], [undefined], 'ambiguous'],
    ['a header is there twice beside a good one', ['c1'], ['c1', undefined], 'ambiguous'],
    ['the header is empty', [], [''], 'format'],
    ['two values were joined', [], ['k1,k1'], 'format'],
    ['it is too long', [], ['k'.repeat(129)], 'format'],
    ['the message is no id', ['a\nb'], [], 'format'],
    ['the message is not ASCII', ['\u00e4'], [], 'format'],
    ['a header says another', ['c1'], ['k1'], 'mismatch'],
    ['the headers differ', [], ['k1', 'k2'], 'mismatch'],
    ['the weaker header is empty', ['c1'], ['c1', ''], 'mismatch'],
  ] as const)('is refused when %s', (_, said, headers, code) => {
    expect(commandIdOf(said, headers)).toEqual({ pointer: '/command_id', code, detail: expect.any(String) });
  });

  it('is always one that a header can carry, and one that somebody said', () => {
    const text = fc.oneof(fc.string({ maxLength: 5, unit: 'binary' }), fc.constantFrom('k1', 'k2', 'k1'));
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 2 }),
        fc.array(fc.option(text, { nil: undefined }), { maxLength: 2 }),
        (said, headers) => {
          const id = commandIdOf(said, headers);
          if (typeof id !== 'string') return;
          expect(id).toMatch(/^[\x21-\x7e]{1,128}$/);
          expect([...said, ...headers].filter((other) => other !== '' && other !== id)).toEqual([]);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
