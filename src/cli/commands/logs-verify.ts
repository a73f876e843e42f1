import { LIMITS } from '#domain/limits.ts';
import { LINE_MISTAKES, type LineMistake } from '#domain/logs/judge-access-line.ts';
import { type LogReport, LogVerification, type OffendingLine } from '#domain/logs/verification.ts';
import type { Command } from '../command.ts';
import { readLogFile, readLogLines } from '../log-lines.ts';
import { clean, fields, type Paint } from '../render.ts';

const SHOWN_DEFAULT_COUNT = 20;

export const logsVerify: Command = {
  name: 'logs verify',
  summary: 'prove from an access log that each request went where, and at the revision at which, it was decided',
  args: ['FILE'],
  options: {
    limit: { value: 'N', help: `show at most N offending lines (default ${SHOWN_DEFAULT_COUNT}); all count` },
  },
  details:
    'FILE is the access log of an Envoy, - is standard input. Of each line it is checked that\n' +
    '- nothing was sent anywhere that no decision let pass,\n' +
    '- a request that was let pass went to the cluster that its decision names,\n' +
    '- the revision of the decision is that of the route, or a newer one that says so (revision_substituted),\n' +
    '- a decision has its id, and a denial its reason.\n' +
    'Files of any size are read line by line. Exit code 1 when a line is wrong.',
  example: 'logs verify .data/logs/access.log',
  run: async ({ parsed, terminal }) => {
    const file = parsed.args[0] ?? '';
    const verification = new LogVerification(parsed.count('limit') ?? SHOWN_DEFAULT_COUNT);
    const source = file === '-' ? terminal.input() : readLogFile(file);
    await readLogLines(source, verification, LIMITS.accessLogLineMaxBytes);
    const report = verification.report();
    return { json: report, text: (paint) => reportText(report, paint), exitCode: report.ok ? 0 : 1 };
  },
};

function reportText(report: LogReport, paint: Paint): string {
  const { fates, revisions, routedBy } = report;
  const rows: (readonly [string, string])[] = [
    ['lines', `${report.lines}${report.unfinished ? ', and an unfinished one at the end' : ''}`],
    [
      'routed',
      `${fates.routed}${routedBy === undefined ? '' : `, by revisions ${routedBy.first} to ${routedBy.last}`}`,
    ],
    ['not sent', String(fates.unrouted)],
    ['denied', String(fates.denied)],
    ['undecided', String(fates.undecided)],
    ['decided at', `the revision of the route ${revisions.equal}, a newer one that says so ${revisions.substituted}`],
  ];
  const verdict = report.ok
    ? paint.good('every request was routed as it was decided')
    : paint.bad(`${report.offendingLines} of ${report.lines} lines are wrong`);
  const hidden = report.offendingLines - report.offending.length;
  return [
    fields(rows, paint),
    `${verdict}\n`,
    ...report.offending.map((line) => offendingText(line, paint)),
    ...(hidden > 0 ? [`${paint.faint(`${hidden} more: raise --limit`)}\n`] : []),
  ].join('');
}

const offendingText = ({ number, mistakes, detail, text }: OffendingLine, paint: Paint): string =>
  [
    `${paint.strong(`line ${number}`)}: ${mistakes.map(sentence).join('; ')}${detail === undefined ? '' : ` (${clean(detail)})`}\n`,
    `  ${paint.faint(clean(text))}\n`,
  ].join('');

const sentence = (mistake: LineMistake): string => `${mistake} (${LINE_MISTAKES[mistake]})`;
