import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonInSteps } from '#domain/json-in-steps.ts';
import { LIMITS } from '#domain/limits.ts';
import { runToEnd } from '#domain/steps.ts';

const PADDING = ' '.repeat(LIMITS.jsonSliceMaxChars);

/** The text with so much space before each comma that it is cut wherever it may be cut at all. */
const padded = (text: string): string => text.replaceAll(',', `${PADDING},`);

/** What is parsed, or that it was refused; members in their order. */
function outcome(work: () => unknown): string {
  try {
    return JSON.stringify(work());
  } catch {
    return 'refused';
  }
}

const inPieces = (text: string): { readonly outcome: string; readonly pieces: number } => {
  let pieces = 0;
  const parse = (json: string): unknown => {
    pieces += 1;
    return JSON.parse(json);
  };
  return { outcome: outcome(() => runToEnd(parseJsonInSteps(text, parse))), pieces };
};

/** Few names, so that members repeat; what a cut could trip over within them and within texts. */
const name = fc.constantFrom('a', 'b', '10', '9', 'x,"y":{', 'q"', '\\', 'end\\"', '');
const leaf = fc.oneof(name, fc.integer(), fc.constant(null), fc.array(name, { maxLength: 3 }));
const objectText = (value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .array(fc.tuple(name, value), { maxLength: 4 })
    .map((members) => `{${members.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}`);
const leafText = leaf.map((value) => JSON.stringify(value));
const innerText = fc.oneof(leafText, objectText(fc.oneof(leafText, objectText(leafText))));
const documentText = fc.oneof({ weight: 5, arbitrary: objectText(innerText) }, innerText);

describe('parseJsonInSteps', () => {
  it('makes of every text what JSON.parse makes of it, repeated members included', () => {
    fc.assert(
      fc.property(documentText, (text) => {
        expect(inPieces(padded(text)).outcome).toBe(outcome(() => JSON.parse(padded(text))));
      }),
      { numRuns: 500 },
    );
  });

  it('refuses what JSON.parse refuses: texts with a character too many, too few or another', () => {
    const character = fc.constantFrom(...'{}[],:"\\ a1'.split(''), '');
    const places = fc.array(fc.tuple(fc.nat(), fc.boolean(), character), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(documentText, places, (text, changes) => {
        let broken = text;
        for (const [place, replaces, put] of changes) {
          const at = place % (broken.length + 1);
          broken = `${broken.slice(0, at)}${put}${broken.slice(at + (replaces ? 1 : 0))}`;
        }
        expect(inPieces(padded(broken)).outcome).toBe(outcome(() => JSON.parse(padded(broken))));
      }),
      { numRuns: 2_000 },
    );
  });

  it('cuts long objects and the long objects in them into pieces, and nothing that is short', () => {
    const members = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`tenant-${index}`, 's1']));
    const text = JSON.stringify({ small: 1, first: members, second: members, last: [1, 2] });
    const { outcome: value, pieces } = inPieces(text);
    expect(value).toBe(text);
    expect(pieces).toBeGreaterThanOrEqual(Math.floor(text.length / (LIMITS.jsonSliceMaxChars + 100)));
    expect(inPieces(JSON.stringify({ small: { a: 1, b: 2 }, other: 2 })).pieces).toBe(1);
  });
});
