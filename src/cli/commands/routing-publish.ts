import { readFile } from 'node:fs/promises';
import { parse as parseYaml } from 'yaml';
import { SERVICE_KINDS } from '#domain/ids.ts';
import { numberOf, recordOf, shown, textOf } from '../answer.ts';
import { parseCount } from '../args.ts';
import type { Command, CommandResult, ParsedArgs } from '../command.ts';
import { UsageError } from '../failures.ts';
import type { Terminal } from '../terminal.ts';
import { diffText } from './routing-diff.ts';

const OPTIONS = {
  note: { value: 'TEXT', help: 'why, kept with the revision' },
  'dry-run': { help: 'check it and show what would change and for whom, but publish nothing' },
};

export const routingPush: Command = {
  name: 'routing push',
  summary: 'publish a routing document as the next revision',
  args: ['FILE'],
  options: OPTIONS,
  details:
    'FILE is JSON or YAML; - reads standard input. The whole document is checked first: with one mistake nothing\n' +
    'changes, and every mistake is listed with its place.',
  example: 'routing push routing.yaml --note "new shard s3"',
  run: async ({ parsed, terminal, gateway }) => {
    const document = await readDocument(parsed.args[0] ?? '', terminal);
    const api = await gateway();
    const query = { note: parsed.text('note'), ...dryRunQuery(parsed) };
    return published(await api.call({ endpoint: 'routing.revisions.push', query, body: document }));
  },
};

export const routingMove: Command = {
  name: 'routing move',
  summary: 'place one tenant on other shards',
  args: ['TENANT'],
  options: {
    ...Object.fromEntries(SERVICE_KINDS.map((kind) => [kind, { value: 'SHARD', help: `its shard of kind ${kind}` }])),
    ...OPTIONS,
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
        query: dryRunQuery(parsed),
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
  options: OPTIONS,
  details:
    'Nothing is taken back: the new revision has a higher number, and so have the epochs of the tenants it moves.',
  example: 'routing rollback 41 --note "s2 is slow"',
  run: async ({ parsed, gateway }) => {
    const revision = parseCount(parsed.args[0] ?? '', 'REVISION', 'routing rollback');
    const note = parsed.text('note');
    const api = await gateway();
    const body = { revision, ...(note === undefined ? {} : { note }) };
    return published(await api.call({ endpoint: 'routing.rollback', query: dryRunQuery(parsed), body }));
  },
};

/** The most that one answer of the API tells. */
const dryRunQuery = (parsed: ParsedArgs): Readonly<Record<string, string>> =>
  parsed.flag('dry-run') ? { dry_run: 'true', limit: '500' } : {};

/** What would change, and the tenants whose requests would go elsewhere. */
function tried(answer: unknown): CommandResult {
  const onChanged = numberOf(answer, 'tenants_on_changed_shards') ?? 0;
  return {
    json: answer,
    text: (paint) =>
      `${paint.strong('dry run')}, nothing is published; on top of revision ${shown(answer, 'revision')} it would be:\n` +
      diffText(answer, paint) +
      (onChanged === 0 ? '' : `${onChanged} tenants stay on shards that change\n`) +
      validationText(answer),
  };
}

/** The answer to any publication. `changed: false` means the current revision had this content already. */
function published(answer: unknown): CommandResult {
  if (recordOf({ answer }, 'answer')['dry_run'] === true) return tried(answer);
  const kinds = recordOf(answer, 'kind_revisions');
  const list = SERVICE_KINDS.map((kind) => `${kind} ${shown(kinds, kind)}`).join(', ');
  const same = recordOf({ answer }, 'answer')['changed'] === false;
  return {
    json: answer,
    text: (paint) =>
      same
        ? `nothing to change: revision ${shown(answer, 'revision')} has this content (${list})\n`
        : `${paint.good('published')} revision ${shown(answer, 'revision')} (${list})\n${validationText(answer)}`,
  };
}

/** What an Envoy said of the shards that change; nothing where none was asked. */
function validationText(answer: unknown): string {
  const said = textOf(answer, 'validation');
  if (said === 'valid') return 'an Envoy has validated the shards that change\n';
  if (said !== 'unavailable') return '';
  return `note: no Envoy could validate the shards that change: ${shown(answer, 'validation_detail')}\n`;
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
