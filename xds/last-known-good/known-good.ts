import { createHash } from 'node:crypto';
import { fail, ok, type Result } from '#domain/result.ts';
import { parseShardDirectory, shardDirectoryText } from '#domain/routing/canonical.ts';
import { headText, parseHead } from '#domain/routing/head.ts';
import type { RoutingSnapshot, ShardDirectory } from '#domain/routing/types.ts';

/**
 * A routing revision without its placements: all that Envoys are told by. Whether a tenant is where is asked of the
 * authz service for each request, so the control plane needs no placements, and without them the file stays small
 * however many tenants there are.
 */
export type KnownGood = Omit<RoutingSnapshot, 'placements'>;

/**
 * The file: a line `gateway-routing <version> <SHA-256 of the rest>`, a line with the head of the revision, and one line
 * per kind with its shards, each in the spelling of the store. No line can hold a line break: JSON escapes it.
 */
const FORMAT = 'gateway-routing';
const VERSION = '1';
const FIRST_LINE = /^gateway-routing ([0-9]{1,9}) ([0-9a-f]{64})$/;
const FIRST_LINE_MAX_BYTES = 100;
const LINE_FEED = 0x0a;
const LINES_COUNT = 4;

/** Texts of directories written before: a stream of moves changes placements and leaves the shards as they are. */
const texts = new WeakMap<ShardDirectory, string>();

/** The bytes of the file; the same content always has the same. */
export function encodeKnownGood(content: KnownGood): Buffer {
  const { shards } = content;
  const lines = [headText({ schema: 1, ...headOf(content) })];
  for (const directory of [shards.aggregate, shards.projection, shards.runner]) lines.push(textOf(directory));
  const body = Buffer.from(lines.join('\n'));
  return Buffer.concat([Buffer.from(`${FORMAT} ${VERSION} ${sha256(body)}\n`), body]);
}

/** Reads the file, or says in words why it is not to be served. */
export function decodeKnownGood(bytes: Buffer): Result<KnownGood, string> {
  const end = bytes.subarray(0, FIRST_LINE_MAX_BYTES).indexOf(LINE_FEED);
  // In Latin-1 each byte is one character: no damaged byte can turn into a right one.
  const [, version, checksum] = FIRST_LINE.exec(end < 0 ? '' : bytes.toString('latin1', 0, end)) ?? [];
  if (version === undefined) return fail('is not a file of this program, or its first line is damaged');
  if (version !== VERSION) return fail(`has format version ${version}, this program reads version ${VERSION}`);
  const body = bytes.subarray(end + 1);
  if (sha256(body) !== checksum) return fail('is damaged or truncated: its content does not have its checksum');
  return decodeBody(body.toString('utf8').split('\n'));
}

/** What follows passed the checksum, so a mistake there was made by whoever wrote it. */
function decodeBody(lines: readonly string[]): Result<KnownGood, string> {
  const [headLine = '', ...directoryLines] = lines;
  if (lines.length !== LINES_COUNT) return fail(`has ${lines.length} lines of content`);
  const parsed = parseHead(headLine);
  if (!parsed.ok) return fail(`the head ${parsed.error.reason}`);
  if (parsed.value.form !== 'revision') return fail('holds no revision');
  const directories: ShardDirectory[] = [];
  for (const line of directoryLines) {
    const directory = parseShardDirectory(line);
    if (!directory.ok) return fail(`the shards: ${directory.error.reason}`);
    directories.push(directory.value);
  }
  const [aggregate, projection, runner] = directories;
  if (aggregate === undefined || projection === undefined || runner === undefined) return fail('lacks shards');
  return ok({ ...headOf(parsed.value.head), shards: { aggregate, projection, runner } });
}

/** The revision without its placements; keeping it keeps nothing else alive. */
export const knownGoodOf = (snapshot: KnownGood): KnownGood => ({ ...headOf(snapshot), shards: snapshot.shards });

const headOf = ({ revision, parent, manifest, kindRevisions, at, by, note }: Omit<KnownGood, 'shards'>) => ({
  ...{ revision, parent, manifest, kindRevisions, at, by, note },
});

function textOf(directory: ShardDirectory): string {
  const known = texts.get(directory);
  if (known !== undefined) return known;
  const text = shardDirectoryText(directory);
  texts.set(directory, text);
  return text;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
