import { readFile } from 'node:fs/promises';
import { parse as parseYaml } from 'yaml';
import { SERVICE_KINDS } from '#domain/ids.ts';
import { recordOf, shown } from '../answer.ts';
import { parseCount } from '../args.ts';
import type { Command, CommandResult } from '../command.ts';
import { UsageError } from '../failures.ts';
import type { Terminal } from '../terminal.ts';

const NOTE_OPTION = { note: { value: 'TEXT', help: 'why, kept with the revision' } };

export const routingPush: Command = {
  name: 'routing push',
  summary: 'publish a routing document as the next revision',
  args: ['FILE'],
  options: NOTE_OPTION,
  details:
    'FILE is JSON or YAML; - reads standard input. The whole document is checked first: with one mistake nothing\n' +
    'changes, and every mistake is listed with its place.',
  example: 'routing push routing.yaml --note "new shard s3"',
  run: async ({ parsed, terminal, gateway }) => {
    const document = await readDocument(parsed.args[0] ?? '', terminal);
    const api = await gateway();
    const query = { note: parsed.text('note') };
    return published(await api.call({ endpoint: 'routing.revisions.push', query, body: document }));
  },
};

export const routingMove: Command = {
  name: 'routing move',
  summary: 'place one tenant on other shards',
  args: ['TENANT'],
  options: {
    ...Object.fromEntries(SERVICE_KINDS.map((kind) => [kind, { value: 'SHARD', help: `its shard of kind ${kind}` }])),
    ...NOTE_OPTION,
  },
  details: 'Kinds that are not named stay where they are.',
  example: 'routing move acme --projection s2',
  run: async ({ parsed, gateway }) => {
    const targets = SERVICE_KINDS.flatMap((kind) => {
      const shard = parsed.text(kind);
      return shard === undefined ? [] : [[kind, shard] as const];
    });
    if (targets.length === 0) {
      throw new UsageError(
        `name at least one of ${SERVICE_KINDS.map((kind) => `--${kind}`).join(', ')}`,
        'routing move',
      );
    }
    const note = parsed.text('note');
    const api = await gateway();
    return published(
      await api.call({
        endpoint: 'routing.revisions.push',
        body: {
          changes: [{ tenant: parsed.args[0] ?? '', ...Object.fromEntries(targets) }],
          ...(note === undefined ? {} : { note }),
        },
      }),
    );
  },
};

export const routingRollback: Command = {
  name: 'routing rollback',
  summary: 'publish the content of an earlier revision as a new one',
  args: ['REVISION'],
  options: NOTE_OPTION,
  details:
    'Nothing is taken back: the new revision has a higher number, and so have the epochs of the tenants it moves.',
  example: 'routing rollback 41 --note "s2 is slow"',
  run: async ({ parsed, gateway }) => {
    const revision = parseCount(parsed.args[0] ?? '', 'REVISION', 'routing rollback');
    const note = parsed.text('note');
    const api = await gateway();
    const body = { revision, ...(note === undefined ? {} : { note }) };
    return published(await api.call({ endpoint: 'routing.rollback', body }));
  },
};

/** The answer to any publication. `changed: false` means the current revision had this content already. */
function published(answer: unknown): CommandResult {
  const kinds = recordOf(answer, 'kind_revisions');
  const list = SERVICE_KINDS.map((kind) => `${kind} ${shown(kinds, kind)}`).join(', ');
  const same = recordOf({ answer }, 'answer')['changed'] === false;
  return {
    json: answer,
    text: (paint) =>
      same
        ? `nothing to change: revision ${shown(answer, 'revision')} has this content (${list})\n`
        : `${paint.good('published')} revision ${shown(answer, 'revision')} (${list})\n`,
  };
}

/** Reads JSON or YAML (JSON is YAML, but its own parser is quicker and explains mistakes better). @throws UsageError */
async function readDocument(file: string, terminal: Terminal): Promise<unknown> {
  const text = await readText(file, terminal);
  try {
    return /^\s*[{[]/.test(text) && !/\.ya?ml$/i.test(file) ? JSON.parse(text) : parseYaml(text, { maxAliasCount: 0 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${file === '-' ? 'standard input' : file} is neither JSON nor YAML: ${why}`, 'routing push');
  }
}

async function readText(file: string, terminal: Terminal): Promise<string> {
  if (file === '-') return terminal.readInput();
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(
      `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      'routing push',
    );
  }
}
