import { ERROR_CODES } from '#domain/errors.ts';
import { PROTOCOLS, type Protocol, type Seen } from './observe.ts';

/** Everything that was seen, in the order of the producers. */
export type Matrix = ReadonlyMap<string, ReadonlyMap<Protocol, Seen>>;

const BEGIN = '<!-- written by test/system/edge-matrix.test.ts: begin -->';
const END = '<!-- written by test/system/edge-matrix.test.ts: end -->';

/** The document with what stands between the marks replaced. @throws Error when it has no marks */
export function replaceGenerated(document: string, generated: string): string {
  const [before, rest] = document.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`the document has no "${BEGIN}"`);
  return `${before}${BEGIN}\n${generated}${END}${after}`;
}

/** Who answers what, by protocol, and which codes nobody answered. */
export function errorTable(matrix: Matrix): string {
  const said = [...matrix.values()].flatMap((row) => [...row.values()].map(({ error }) => error)).join('\n');
  const unseen = ERROR_CODES.filter((code) => !new RegExp(`\\b${code}\\b`).test(said));
  const list = unseen.map((code) => `\`${code}\``).join(', ');
  return `${table(matrix, 'error')}\nNothing above answers with ${list}.\n`;
}

const ALL_IDS = 'C r T d';

/** Which ids are on the answers, by protocol: where one is missing, row by row, and the rest in one sentence. */
export function idTable(matrix: Matrix): string {
  const isWhole = (row: ReadonlyMap<Protocol, Seen>) => [...row.values()].every(({ ids }) => ids === ALL_IDS);
  const rest = new Map([...matrix].filter(([, row]) => !isWhole(row)));
  const whole = matrix.size - rest.size;
  return `${table(rest, 'ids')}\nThe other ${whole} rows of [the error table](errors.md) are \`${ALL_IDS}\` in each protocol.\n`;
}

function table(matrix: Matrix, what: keyof Seen): string {
  const head = [`| what is wrong | ${PROTOCOLS.join(' | ')} |`, `|${'---|'.repeat(PROTOCOLS.length + 1)}`];
  const rows = [...matrix].map(([name, row]) => {
    const cells = PROTOCOLS.map((protocol) => {
      const seen = row.get(protocol);
      return seen === undefined ? '' : `\`${seen[what]}\``;
    });
    return `| ${name} | ${cells.join(' | ')} |`;
  });
  return `${[...head, ...rows].join('\n')}\n`;
}
