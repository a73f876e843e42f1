import { LIMITS } from './limits.ts';
import type { Steps } from './steps.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

/** A part of a text as JSON of its own: given the openings before it and the closings behind it. */
interface Piece {
  readonly json: string;
  /** The member, as JSON, whose object this piece goes on with; undefined when it begins with a new member. */
  readonly of: string | undefined;
}

/**
 * What `parse` makes of a JSON text, in steps of about `jsonSliceMaxChars`: JSON.parse of many megabytes would hold the
 * thread for a tenth of a second. The text is cut between the members of the outermost object and of the objects that
 * this one holds, and nowhere else, so that a text of another shape is one step.
 * @throws what `parse` throws, which must refuse what is no JSON and members named `__proto__`
 */
export function* parseJsonInSteps(text: string, parse: (json: string) => unknown): Steps<unknown> {
  let whole: unknown;
  for (const { json, of } of piecesOf(text)) {
    const part = parse(json);
    if (!isObject(whole) || !isObject(part)) whole = part;
    else if (of === undefined) Object.assign(whole, part);
    else {
      const name = String(JSON.parse(of));
      Object.assign(Object(whole[name]), part[name]);
    }
    yield;
  }
  return whole;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/**
 * Cuts at commas that separate two members, which is where the parser accepts the two pieces exactly if it accepts the
 * whole: nothing is looked for here but strings and how deep in brackets a comma is.
 */
function* piecesOf(text: string): IterableIterator<Piece> {
  let piece = { from: 0, opening: '', of: undefined as string | undefined };
  /** The brackets that are open, of which the first two count. */
  const open: number[] = [];
  let member = '';
  let before = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code <= SPACE) continue;
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (open.length === 1) member = text.slice(at, end + 1);
      at = end;
    } else if (code === OPEN_OBJECT || code === OPEN_ARRAY) open.push(code);
    else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) open.pop();
    else if (code === COMMA && before !== OPEN_OBJECT && isBetweenMembers(open)) {
      // What goes on with an object ends with it: a second member of the same name would replace it.
      const isDue = at - piece.from >= LIMITS.jsonSliceMaxChars || (piece.of !== undefined && open.length === 1);
      if (isDue && beginsString(text, at + 1)) {
        yield { json: `${piece.opening}${text.slice(piece.from, at)}${'}'.repeat(open.length)}`, of: piece.of };
        const of = open.length === 2 ? member : undefined;
        piece = { from: at + 1, opening: of === undefined ? '{' : `{${of}:{`, of };
      }
    }
    before = code;
  }
  yield { json: `${piece.opening}${text.slice(piece.from)}`, of: piece.of };
}

const isBetweenMembers = (open: readonly number[]): boolean =>
  open[0] === OPEN_OBJECT && (open.length === 1 || (open.length === 2 && open[1] === OPEN_OBJECT));

/** Where the string that begins at `at` has its closing quote; the end of the text when it has none. */
function endOfString(text: string, at: number): number {
  let end = text.indexOf('"', at + 1);
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === BACKSLASH) first -= 1;
  return (at - first) % 2 === 1;
}

function beginsString(text: string, from: number): boolean {
  let at = from;
  while (text.charCodeAt(at) <= SPACE) at += 1;
  return text.charCodeAt(at) === QUOTE;
}
