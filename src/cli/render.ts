/** Colours of the output; all of them are the identity where colour is off. */
export interface Paint {
  strong(text: string): string;
  faint(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

const sgr = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;
const same = (text: string): string => text;

/** A palette: ANSI colours where `colour`, plain text otherwise. */
export const createPaint = (colour: boolean): Paint =>
  colour
    ? { strong: sgr(1, 22), faint: sgr(2, 22), good: sgr(32, 39), bad: sgr(31, 39) }
    : { strong: same, faint: same, good: same, bad: same };

/** Colour is for terminals only, and not where NO_COLOR (any value but the empty one) or TERM=dumb asks for none. */
export const wantsColour = (isTty: boolean, env: Readonly<Record<string, string | undefined>>): boolean =>
  isTty && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';

/**
 * Text from the gateway made safe for a terminal: control characters become visible escapes, so that a note or an
 * address cannot move the cursor, recolour or hide lines. With `lines`, line breaks stay.
 */
export function clean(text: string, options: { readonly lines?: boolean } = {}): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (character) =>
    options.lines === true && character === '\n'
      ? character
      : `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0') ?? ''}`,
  );
}

/** Columns aligned with two spaces between them, the head in bold; `(none)` when there is no row. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], paint: Paint): string {
  if (rows.length === 0) return `${paint.faint('(none)')}\n`;
  const cells = [head, ...rows].map((row) => row.map((cell) => clean(cell)));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.map((line, index) => (index === 0 ? paint.strong(line) : line)).join('\n')}\n`;
}

/** `name  value` lines with the values aligned. */
export function fields(pairs: readonly (readonly [name: string, value: string])[], paint: Paint): string {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${paint.strong(name.padEnd(width))}  ${clean(value)}\n`).join('');
}
