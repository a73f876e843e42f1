import { SERVICE_KINDS } from '#domain/ids.ts';
import { isRecord, listOf, numberOf, recordOf, shown, textOf } from '../answer.ts';
import { parseCount } from '../args.ts';
import type { Command } from '../command.ts';
import type { Gateway } from '../gateway-client.ts';
import { type Paint, table } from '../render.ts';
import { LIST_DEFAULT_COUNT } from './users.ts';

const PAGE_MAX_COUNT = 500;
const NAME = 'routing diff';

export const routingDiff: Command = {
  name: NAME,
  summary: 'show what differs between two revisions',
  args: ['A', '[B]'],
  options: { limit: { value: 'N', help: `show at most N placements (default ${LIST_DEFAULT_COUNT})` } },
  details:
    'With A alone: what revision A changed, compared with its parent. With A and B: what B has otherwise than A.\n' +
    'A placement differs when its shard does; an epoch alone is no difference.',
  example: 'routing diff 40 42',
  run: async ({ parsed, gateway }) => {
    const [first = '', second] = parsed.args;
    const asked = parseCount(first, 'A', NAME);
    const other = second === undefined ? undefined : parseCount(second, 'B', NAME);
    const limit = parsed.count('limit') ?? LIST_DEFAULT_COUNT;
    const call = { revision: other ?? asked, from: other === undefined ? undefined : asked, limit };
    const answer = await readDiff(await gateway(), call);
    const { from, to } = recordOf({ answer }, 'answer');
    return {
      json: answer,
      text: (paint) => `revision ${String(from)} -> ${String(to)}\n${diffText(answer, paint)}`,
    };
  },
};

/** A difference with the items of as many pages as it takes. */
async function readDiff(
  gateway: Gateway,
  asked: { readonly revision: number; readonly from: number | undefined; readonly limit: number },
): Promise<unknown> {
  const items: unknown[] = [];
  let cursor: string | undefined;
  for (;;) {
    const limit = Math.min(asked.limit - items.length, PAGE_MAX_COUNT);
    const answer = await gateway.call({
      endpoint: 'routing.revisions.diff',
      path: { revision: String(asked.revision) },
      query: { from: asked.from === undefined ? undefined : String(asked.from), limit: String(limit), cursor },
    });
    const page = listOf(answer, 'items');
    items.push(...page);
    cursor = textOf(answer, 'next_cursor');
    if (cursor === undefined || items.length >= asked.limit || page.length === 0) {
      return isRecord(answer) ? { ...answer, items } : answer;
    }
  }
}

/** The shards and placements of a difference as the API tells it: shards first, then who moves where. */
export function diffText(answer: unknown, paint: Paint): string {
  const totals = recordOf(answer, 'totals');
  const [shards, placements] = [numberOf(totals, 'shards') ?? 0, numberOf(totals, 'placements') ?? 0];
  if (shards === 0 && placements === 0) return 'no difference\n';
  const items = listOf(answer, 'items').filter(isRecord);
  const hidden = placements - items.length;
  return [
    ...(shards === 0 ? [] : [table(['KIND', 'SHARD', 'CHANGE'], shardRows(recordOf(answer, 'shards')), paint)]),
    ...(placements === 0 ? [] : [table(['TENANT', 'KIND', 'BEFORE', 'AFTER'], items.map(moveRow), paint)]),
    `${shards} shards, ${placements} placements of ${shown(totals, 'tenants')} tenants` +
      `${hidden > 0 ? ` (${hidden} not shown)` : ''}\n`,
  ].join('\n');
}

const moveRow = (item: unknown): readonly string[] =>
  ['tenant', 'kind', 'before', 'after'].map((name) => shown(item, name));

const shardRows = (shards: unknown): readonly (readonly string[])[] =>
  SERVICE_KINDS.flatMap((kind) =>
    ['added', 'removed', 'changed'].flatMap((change) =>
      listOf(recordOf(shards, kind), change).map((name) => [kind, String(name), change]),
    ),
  );
