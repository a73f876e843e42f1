import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clean, createPaint, fields, table, wantsColour } from '../../../src/cli/render.ts';
import { createLineEditor } from '../../../src/cli/terminal.ts';

const plain = createPaint(false);

describe('table', () => {
  test('aligns the columns and leaves no space at the end of a line', () => {
    const text = table(
      ['KIND', 'SHARD'],
      [
        ['aggregate', 's1'],
        ['runner', 'shard-12'],
      ],
      plain,
    );
    expect(text).toBe('KIND       SHARD\naggregate  s1\nrunner     shard-12\n');
  });

  test('says so when there is nothing', () => {
    expect(table(['KIND'], [], plain)).toBe('(none)\n');
  });

  test('colour is in the head alone', () => {
    const [head, row] = table(['A'], [['b']], createPaint(true)).split('\n');
    expect(head).toBe('\u001b[1mA\u001b[22m');
    expect(row).toBe('b');
  });
});

test('fields aligns the values', () => {
  expect(
    fields(
      [
        ['at', 'x'],
        ['revision', '3'],
      ],
      plain,
    ),
  ).toBe('at        x\nrevision  3\n');
});

describe('colour', () => {
  test.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
  ] as const)('terminal %j with %j: %j', (isTty, env, wanted) => {
    expect(wantsColour(isTty, env)).toBe(wanted);
  });
});

describe('text from the gateway', () => {
  test('cannot reach the terminal with control characters', () => {
    expect(clean('a\u001b[2Jb\r\n\u202e')).toBe('a\\u001b[2Jb\\u000d\\u000a\\u202e');
    expect(clean('a\nb', { lines: true })).toBe('a\nb');
  });

  test('never keeps an escape, whatever comes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const cells = table(['H'], [[text]], plain).split('\n');
        // The head, the row, and the empty text behind the last line end.
        expect(cells).toHaveLength(3);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point
        expect(cells[1]).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });
});

describe('the hidden line', () => {
  test('ends at the line end and takes backspace and Ctrl-U', () => {
    const editor = createLineEditor();
    expect(editor('ab')).toBeUndefined();
    expect(editor('\u007fc')).toBeUndefined();
    expect(editor('\r')).toBe('ac');
    expect(createLineEditor()('wrong\u0015right\n')).toBe('right');
  });

  test('Ctrl-C gives up; Ctrl-D gives up only an empty line', () => {
    expect(createLineEditor()('abc\u0003')).toBeNull();
    expect(createLineEditor()('\u0004')).toBeNull();
    expect(createLineEditor()('abc\u0004')).toBe('abc');
  });
});
