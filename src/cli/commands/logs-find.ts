import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '#domain/limits.ts';
import { parseLogLine } from '#domain/logs/access-line.ts';
import { isOfDecision, isOfRequest, leadingIds } from '#domain/logs/log-ids.ts';
import { shown } from '../answer.ts';
import type { Command } from '../command.ts';
import { UsageError } from '../failures.ts';
import { readLogFile, readLogLines } from '../log-lines.ts';
import { clean, fields, type Paint } from '../render.ts';

const NAME = 'logs find';
const SHOWN_DEFAULT_COUNT = 20;
/** https://www.w3.org/TR/trace-context/#traceparent-header: people copy the whole header as often as the id in it. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

type Members = Readonly<Record<string, unknown>>;

interface Found {
  readonly file: string;
  /** 1 = the first line. */
  readonly line: number;
  readonly entry: Members;
}

export const logsFind: Command = {
  name: NAME,
  summary: 'find a request in the logs of the development gateway by any of its ids',
  args: ['ID', '[FILE]'],
  options: { limit: { value: 'N', help: `show at most N lines of each log (default ${SHOWN_DEFAULT_COUNT})` } },
  details:
    'ID is a request id, correlation id, trace id (or a whole traceparent) or decision id, as answers and problem\n' +
    'documents have them. The access log says what happened to the request; the log of authz says why it was denied.\n' +
    'Logs are looked for in the data folder (GATEWAY_DATA); FILE is an access log elsewhere. Envoy writes its log with\n' +
    'a delay of half a second. Exit code 1 when nothing is found.',
  example: 'logs find dec_7k2m4n6p8q2r4s6t2v4w6x2y4z',
  run: async ({ parsed, dataFolders }) => {
    const [given = '', file] = parsed.args;
    const id = TRACEPARENT.exec(given)?.[1] ?? given;
    if (id === '') throw new UsageError('ID is empty', NAME);
    const limit = parsed.count('limit') ?? SHOWN_DEFAULT_COUNT;
    const logs = await logFiles(dataFolders(), file);
    const requests = await search(logs.access, { ids: new Set([id]), isMatch: isOfRequest, limit });
    const ids = new Set([id, ...requests.found.flatMap(({ entry }) => leadingIds(entry))]);
    const decisions = await search(logs.authz, { ids, isMatch: isOfDecision, limit });
    const more = requests.more || decisions.more;
    return {
      json: { id, access: requests.found, authz: decisions.found, more },
      text: (paint) => foundText({ requests: requests.found, decisions: decisions.found, more, logs }, paint),
      exitCode: requests.found.length + decisions.found.length > 0 ? 0 : 1,
    };
  },
};

interface LogFiles {
  readonly access: readonly string[];
  readonly authz: readonly string[];
}

/** The logs to search, each after the one that was put aside before it. @throws UsageError when there is none */
async function logFiles(folders: readonly string[], given: string | undefined): Promise<LogFiles> {
  for (const folder of folders) {
    const [access, authz] = await Promise.all([
      present(join(folder, 'logs', 'access.log')),
      present(join(folder, 'logs', 'authz.log')),
    ]);
    if (access.length > 0) return { access: given === undefined ? access : [given], authz };
  }
  if (given !== undefined) return { access: [given], authz: [] };
  throw new UsageError(`no logs/access.log in ${folders.join(', ')}; set GATEWAY_DATA or name a FILE`, NAME);
}

async function present(file: string): Promise<readonly string[]> {
  const found = await Promise.all(
    [`${file}.1`, file].map(async (path) => {
      try {
        await access(path);
        return [path];
      } catch {
        return [];
      }
    }),
  );
  return found.flat();
}

interface Search {
  readonly ids: ReadonlySet<string>;
  readonly isMatch: (line: Members, ids: ReadonlySet<string>) => boolean;
  readonly limit: number;
}

async function search(
  files: readonly string[],
  { ids, isMatch, limit }: Search,
): Promise<{ readonly found: readonly Found[]; readonly more: boolean }> {
  const found: Found[] = [];
  let more = false;
  const look = (text: string, file: string, line: number): void => {
    // Reading a line as JSON costs much more than looking for a text in it, and ids need no escapes.
    if (![...ids].some((id) => text.includes(id))) return;
    const parsed = parseLogLine(text);
    if (!parsed.ok || !isMatch(parsed.value, ids)) return;
    if (found.length < limit) found.push({ file, line, entry: parsed.value });
    else more = true;
  };
  for (const file of files) {
    let number = 0;
    const whole = (text: string): void => {
      number += 1;
      look(text, file, number);
    };
    const tooLong = (): void => {
      number += 1;
    };
    await readLogLines(
      readLogFile(file),
      { line: whole, lineTooLong: tooLong, rest: whole },
      LIMITS.accessLogLineMaxBytes,
    );
  }
  return { found, more };
}

function foundText(
  about: { requests: readonly Found[]; decisions: readonly Found[]; more: boolean; logs: LogFiles },
  paint: Paint,
): string {
  const { requests, decisions, more, logs } = about;
  if (requests.length + decisions.length === 0) {
    return `nothing found in ${[...logs.access, ...logs.authz].map((file) => clean(file)).join(', ')}\n`;
  }
  return [
    ...requests.map((each) => entryText('request', each, paint)),
    ...decisions.map((each) => entryText('authz', each, paint)),
    ...(more ? [`${paint.faint('there are more: raise --limit')}\n`] : []),
  ].join('\n');
}

const entryText = (what: string, { file, line, entry }: Found, paint: Paint): string =>
  `${paint.strong(what)} ${paint.faint(clean(`${file}:${line}`))}\n` +
  fields(
    Object.keys(entry).map((name) => [`  ${clean(name)}`, shown(entry, name)] as const),
    paint,
  );
