import { isRecord, shown } from '../answer.ts';
import type { Command } from '../command.ts';
import { listAll } from '../gateway-client.ts';
import { table } from '../render.ts';

/** How many entries a list shows unless `--limit` says otherwise. */
export const LIST_DEFAULT_COUNT = 100;

export const usersList: Command = {
  name: 'users list',
  summary: 'list the users',
  args: [],
  options: { limit: { value: 'N', help: `show at most N (default ${LIST_DEFAULT_COUNT})` } },
  example: 'users list --limit 20',
  run: async ({ parsed, gateway }) => {
    const limit = parsed.count('limit') ?? LIST_DEFAULT_COUNT;
    const { items, more } = await listAll(await gateway(), { endpoint: 'iam.users.list' }, limit);
    const rows = items
      .filter(isRecord)
      .map((user) => ['id', 'email', 'status', 'email_verified', 'created_at'].map((name) => shown(user, name)));
    return {
      json: { items, more },
      text: (paint) =>
        table(['ID', 'EMAIL', 'STATUS', 'VERIFIED', 'CREATED'], rows, paint) + moreLine(more, paint.faint),
    };
  },
};

/** The line under a list that was cut. */
export const moreLine = (more: boolean, faint: (text: string) => string): string =>
  more ? `${faint('there are more: raise --limit')}\n` : '';
