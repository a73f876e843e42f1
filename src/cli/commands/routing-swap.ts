import { isRecord, listOf, numberOf, recordOf, shown, textOf } from '../answer.ts';
import { parseCount } from '../args.ts';
import type { Command } from '../command.ts';
import { fields, type Paint, table } from '../render.ts';

export const routingSwap: Command = {
  name: 'routing swap',
  summary: 'show how a revision came into force: when each Envoy took it, and which requests it decided',
  args: ['REVISION'],
  options: {},
  details:
    'Replicas remember this in memory, for the newest 1,000 revisions since they were started. A time they did not\n' +
    'see is shown as -. Exit code 1 while an Envoy does not route by the revision yet.',
  example: 'routing swap 42',
  run: async ({ parsed, gateway }) => {
    const revision = parseCount(parsed.args[0] ?? '', 'REVISION', 'routing swap');
    const api = await gateway();
    const answer = await api.call({ endpoint: 'routing.revisions.swap', path: { revision: String(revision) } });
    return {
      json: answer,
      text: (paint) => swapText(answer, paint),
      exitCode: recordOf({ answer }, 'answer')['complete'] === true ? 0 : 1,
    };
  },
};

function swapText(answer: unknown, paint: Paint): string {
  const complete = isRecord(answer) && answer['complete'] === true;
  const envoys = listOf(answer, 'envoys').filter(isRecord);
  const rejected = envoys.flatMap((envoy) =>
    listOf(envoy, 'rejected').map((entry) => [
      shown(envoy, 'node'),
      ...['type', 'at', 'names', 'error'].map((name) => shown(entry, name)),
    ]),
  );
  const silent = listOf(answer, 'silent').map(String);
  return [
    fields(
      [
        ['revision', shown(answer, 'revision')],
        ['published', `${shown(answer, 'published_at')} by ${shown(answer, 'by')}`],
        ['note', shown(answer, 'note')],
        ['complete', `${complete ? 'yes' : 'NO'}${took(answer)}`],
        ['requests', requestsText(answer)],
        ...(silent.length === 0 ? [] : [['no answer', silent.join(', ')] as const]),
      ],
      paint,
    ),
    table(['ENVOY', 'STATE', 'TOLD AT', 'TOOK IT AT', 'AFTER', 'BY STAMP'], envoys.map(envoyRow), paint),
    table(['XDS', 'LOADED AT', 'STAMPED AT'], rowsOf(answer, 'xds', ['replica', 'loaded_at', 'stamped_at']), paint),
    table(
      ['AUTHZ', 'HELD AT', 'REQUESTS', 'FIRST AT', 'LAST AT'],
      rowsOf(answer, 'authz', ['replica', 'held_at', 'requests', 'first_decided_at', 'last_decided_at']),
      paint,
    ),
    ...(rejected.length === 0 ? [] : [table(['ENVOY', 'REFUSED TYPE', 'AT', 'NAMES', 'ERROR'], rejected, paint)]),
  ].join('\n');
}

const rowsOf = (answer: unknown, list: string, names: readonly string[]): readonly (readonly string[])[] =>
  listOf(answer, list)
    .filter(isRecord)
    .map((entry) => names.map((name) => shown(entry, name)));

const envoyRow = (envoy: Readonly<Record<string, unknown>>): readonly string[] => [
  shown(envoy, 'node'),
  `${envoy['serving'] === true ? 'serving' : 'BEHIND'}${envoy['live'] === true ? '' : ' (gone)'}`,
  shown(envoy, 'sent_at'),
  shown(envoy, 'acked_at'),
  numberOf(envoy, 'duration_ms') === undefined ? '-' : `${shown(envoy, 'duration_ms')} ms`,
  shown(envoy, 'stamp'),
];

const took = (answer: unknown): string =>
  numberOf(answer, 'duration_ms') === undefined ? '' : `, after ${shown(answer, 'duration_ms')} ms`;

const requestsText = (answer: unknown): string =>
  textOf(answer, 'first_decided_at') === undefined
    ? shown(answer, 'requests')
    : `${shown(answer, 'requests')}, first ${shown(answer, 'first_decided_at')}, last ${shown(answer, 'last_decided_at')}`;
