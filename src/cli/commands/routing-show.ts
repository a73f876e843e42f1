import { SERVICE_KINDS } from '#domain/ids.ts';
import { isRecord, recordOf, shown } from '../answer.ts';
import type { Command } from '../command.ts';
import { listAll } from '../gateway-client.ts';
import { fields, type Paint, table } from '../render.ts';
import { LIST_DEFAULT_COUNT, moreLine } from './users.ts';

export const routingShow: Command = {
  name: 'routing show',
  summary: 'show the current routing revision, or an earlier one',
  args: [],
  options: {
    revision: { value: 'N', help: 'an earlier revision instead of the current one' },
    document: { help: 'print its whole routing document, to edit and push again' },
  },
  example: 'routing show --revision 41',
  run: async ({ parsed, gateway }) => {
    const revision = parsed.count('revision');
    const whole = parsed.flag('document');
    const query = { include: whole ? 'document' : undefined };
    const api = await gateway();
    const answer = await api.call(
      revision === undefined
        ? { endpoint: 'routing.get', query }
        : { endpoint: 'routing.revisions.get', path: { revision: String(revision) }, query },
    );
    const text = whole
      ? () => `${JSON.stringify(recordOf(answer, 'document'), null, 2)}\n`
      : (paint: Paint) => revisionText(answer, paint);
    return { json: answer, text };
  },
};

export const routingList: Command = {
  name: 'routing list',
  summary: 'list the kept routing revisions, newest first',
  args: [],
  options: { limit: { value: 'N', help: `show at most N (default ${LIST_DEFAULT_COUNT})` } },
  example: 'routing list --limit 10',
  run: async ({ parsed, gateway }) => {
    const limit = parsed.count('limit') ?? LIST_DEFAULT_COUNT;
    const { items, more } = await listAll(await gateway(), { endpoint: 'routing.revisions.list' }, limit);
    const rows = items
      .filter(isRecord)
      .map((entry) => [
        shown(entry, 'revision'),
        shown(entry, 'at'),
        shown(entry, 'by'),
        ...SERVICE_KINDS.map((kind) => shown(recordOf(entry, 'kind_revisions'), kind)),
        shown(entry, 'note'),
      ]);
    return {
      json: { items, more },
      text: (paint) =>
        table(['REVISION', 'AT', 'BY', ...SERVICE_KINDS.map((kind) => kind.toUpperCase()), 'NOTE'], rows, paint) +
        moreLine(more, paint.faint),
    };
  },
};

/** What a revision is, then every further number the gateway counts in it. */
function revisionText(answer: unknown, paint: Paint): string {
  const kinds = recordOf(answer, 'kind_revisions');
  const counts = isRecord(answer) ? Object.entries(answer).filter(isCount) : [];
  return fields(
    [
      ['revision', shown(answer, 'revision')],
      ['kind revisions', SERVICE_KINDS.map((kind) => `${kind} ${shown(kinds, kind)}`).join(', ')],
      ['at', shown(answer, 'at')],
      ['by', shown(answer, 'by')],
      ['note', shown(answer, 'note')],
      ...counts.map(([name, value]): readonly [string, string] => [name.replaceAll('_', ' '), countText(value)]),
    ],
    paint,
  );
}

const isCount = ([name, value]: readonly [string, unknown]): boolean =>
  name !== 'revision' &&
  name !== 'parent' &&
  (typeof value === 'number' || (isNumbers(value) && name !== 'kind_revisions'));

const isNumbers = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((member) => typeof member === 'number');

const countText = (value: unknown): string =>
  isRecord(value)
    ? Object.entries(value)
        .map(([name, count]) => `${name} ${String(count)}`)
        .join(', ')
    : String(value);
