import { describe, expect, it } from 'vitest';
import { mismatches, omissions } from '#domain/access/command-message.ts';

const message = { aggregate_type: ['order'], aggregate_id: ['42'], command_id: ['c1'] };

describe('the message of a command', () => {
  it('is whole when each field is there once', () => {
    expect(omissions(message)).toEqual([]);
  });

  it.each([
    [[], 'required'],
    [[''], 'required'],
    [['a', 'b'], 'ambiguous'],
  ])('%j is not one value: %s', (values, code) => {
    expect(omissions({ ...message, command_id: values })).toEqual([
      { pointer: '/command_id', code, detail: expect.any(String) },
    ]);
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
