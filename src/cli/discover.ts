import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { textOf } from './answer.ts';
import { UnreachableError, UsageError } from './failures.ts';

/** Which gateway to talk to, and what its run.json adds where it is a development gateway of this machine. */
export interface Discovery {
  /** Origin without a slash at the end. */
  readonly url: string;
  /** Only when the URL is that of the run.json which was found: the token never goes to another gateway. */
  readonly bootstrapToken?: string;
}

interface RunFile {
  readonly path: string;
  readonly http: string;
  readonly https: string | undefined;
  readonly bootstrapToken: string | undefined;
}

/**
 * Finds the gateway: `url` when given, else the first run.json of a development gateway that answers, looked for in
 * `dataFolder`, in `.data` of the current folder and its parents, and in `.data` of the clone the command lives in.
 * @throws UnreachableError when none answers; UsageError when `url` is none
 */
export async function discover(options: {
  readonly url: string | undefined;
  readonly dataFolder: string | undefined;
  readonly currentFolder: string;
  readonly cloneFolder: string;
  /** Whether a gateway answers at the URL. */
  readonly answers: (url: string) => Promise<boolean>;
}): Promise<Discovery> {
  const files = await readRunFiles(candidateFolders(options));
  if (options.url !== undefined) {
    const url = normaliseUrl(options.url);
    const own = files.find((file) => file.http === url || file.https === url);
    return withToken(url, own?.bootstrapToken);
  }
  for (const file of files) {
    if (await options.answers(file.http)) return withToken(file.http, file.bootstrapToken);
  }
  const found = files.map((file) => `\n  ${file.path} names ${file.http}, but nothing answers there`).join('');
  throw new UnreachableError(
    `no running gateway found; start one with \`npm start\`, or name one with --url or GATEWAY_URL${found}`,
  );
}

/** Folders that may hold a run.json, nearest first, each once. */
export function candidateFolders(options: {
  readonly dataFolder: string | undefined;
  readonly currentFolder: string;
  readonly cloneFolder: string;
}): readonly string[] {
  if (options.dataFolder !== undefined) {
    // A relative one is relative to the clone for the gateway, and to the current folder for whoever typed it.
    return [
      ...new Set([options.currentFolder, options.cloneFolder].map((base) => resolve(base, options.dataFolder ?? ''))),
    ];
  }
  const folders: string[] = [];
  for (let folder = resolve(options.currentFolder); ; folder = dirname(folder)) {
    folders.push(join(folder, '.data'));
    if (dirname(folder) === folder) break;
  }
  folders.push(join(options.cloneFolder, '.data'));
  return [...new Set(folders)];
}

/** The URL as the key of the saved sign-in: no path, query or slash at the end. @throws UsageError */
export function normaliseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(`"${text}" is not an http or https URL`);
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new UsageError(`the URL must be scheme, host and port alone, not "${text}"`);
  }
  return url.origin;
}

async function readRunFiles(folders: readonly string[]): Promise<readonly RunFile[]> {
  const files = await Promise.all(folders.map((folder) => readRunFile(join(folder, 'run.json'))));
  return files.filter((file) => file !== undefined);
}

/** A missing, unreadable or half-made file counts as no gateway: the search goes on. */
async function readRunFile(path: string): Promise<RunFile | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    const http = textOf(value, 'http');
    if (http === undefined || !URL.canParse(http)) return undefined;
    const https = textOf(value, 'https');
    return {
      path,
      http: normaliseUrl(http),
      https: https === undefined ? undefined : normaliseUrl(https),
      bootstrapToken: textOf(value, 'bootstrapToken'),
    };
  } catch {
    return undefined;
  }
}

const withToken = (url: string, bootstrapToken: string | undefined): Discovery =>
  bootstrapToken === undefined ? { url } : { url, bootstrapToken };
