import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLogLines } from '../../../src/cli/log-lines.ts';

async function read(chunks: readonly Uint8Array[], lineMaxBytes = 1_000) {
  const told: (readonly [kind: string, text: string])[] = [];
  async function* source() {
    yield* chunks;
  }
  const sink = {
    line: (text: string) => void told.push(['line', text]),
    lineTooLong: (text: string) => void told.push(['too long', text]),
    rest: (text: string) => void told.push(['rest', text]),
  };
  await readLogLines(source(), sink, lineMaxBytes);
  return told;
}

/** The text in pieces of these sizes, whatever characters they cut through. */
function inPieces(text: string, sizes: readonly number[]): readonly Uint8Array[] {
  const bytes = Buffer.from(text);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const size of sizes) {
    pieces.push(bytes.subarray(from, from + size));
    from += size;
  }
  return [...pieces, bytes.subarray(from)];
}

describe('the lines of a log', () => {
  it('are the same however the bytes come', async () => {
    const lines = fc.array(fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', '')));
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.nat(9)), async (texts, sizes) => {
        const told = await read(inPieces(texts.join('\n'), sizes), 100_000);
        const expected = texts.length === 0 ? [''] : texts.map((text) => Buffer.from(text).toString());
        expect(told.map(([, text]) => text)).toEqual(expected);
        expect(told.map(([kind]) => kind)).toEqual([...expected.slice(1).map(() => 'line'), 'rest']);
      }),
    );
  });

  it('are bounded: of a longer one the beginning is told, and the next is whole again', async () => {
    const long = 'x'.repeat(5_000);
    for (const sizes of [[], [10], Array.from({ length: 60 }, () => 90)]) {
      expect(await read(inPieces(`a\n${long}\nb\n${long}`, sizes), 1_000)).toEqual([
        ['line', 'a'],
        ['too long', 'x'.repeat(512)],
        ['line', 'b'],
        ['too long', 'x'.repeat(512)],
      ]);
    }
  });

  it('of exactly the bound is whole', async () => {
    expect(await read(inPieces(`${'x'.repeat(1_000)}\n`, [999]), 1_000)).toEqual([
      ['line', 'x'.repeat(1_000)],
      ['rest', ''],
    ]);
  });
});
