import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { type Outcome, refuse } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Log } from '#platform/log.ts';
import type { Clock } from '#ports/clock.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { writeHeadStatus } from './head-status.ts';

/** A file is read when it has been quiet for so long: editors write in several steps. */
const QUIET_MS = 50;
const RETRY_MIN_MS = 200;

export interface RoutingFileOptions {
  /** A routing document in JSON, or in YAML when the name ends in .yaml or .yml. */
  readonly path: string;
  /** Publishes the document as the next revision when its content is new: the use case of every other source. */
  readonly publish: (request: {
    readonly document: unknown;
    readonly by: string;
    readonly note: string;
    readonly retryOnConflict: boolean;
  }) => Promise<Outcome<{ readonly revision: number; readonly changed: boolean }>>;
  readonly store: Pick<KeyValueStore, 'commit'>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Keeps the routing equal to a file, for development and tests: publishes it at the start and each time its bytes
 * change. A file with mistakes changes nothing; the reasons are logged and stand in `status.head`. Storage that is
 * away is waited for.
 */
export class RoutingFile implements AsyncDisposable {
  readonly #options: RoutingFileOptions;
  readonly #watcher: FSWatcher;
  #sha256 = '';
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #failures = 0;
  #stopped = false;

  /** @throws when the folder of the file does not exist */
  constructor(options: RoutingFileOptions) {
    this.#options = options;
    // The folder, not the file: editors and container mounts replace the file, and a watch would stay with the old one.
    this.#watcher = watch(dirname(options.path), () => this.#schedule(QUIET_MS));
    this.#watcher.on('error', (error) => options.log.error({ err: error }, 'the routing file is no longer watched'));
    this.#schedule(0);
  }

  /** Reads the file now, whether it changed or not. */
  async reload(): Promise<void> {
    this.#sha256 = '';
    this.#schedule(0);
    await this.settled();
  }

  /** Waits until what was noticed so far has been published or refused. */
  async settled(): Promise<void> {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#run();
    }
    await this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#watcher.close();
    await this.#work;
  }

  #schedule(milliseconds: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#run(), milliseconds);
  }

  #run(): void {
    this.#timer = undefined;
    this.#work = this.#work.then(() => this.#publishIfChanged());
  }

  async #publishIfChanged(): Promise<void> {
    if (this.#stopped) return;
    const { path, publish, log } = this.#options;
    try {
      const bytes = await readBounded(path);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      if (sha256 === this.#sha256) return;
      const document = parseFile(path, bytes.toString('utf8'));
      const note = basename(path).slice(0, LIMITS.noteMaxChars);
      const outcome = document.ok
        ? await publish({ document: document.value, by: 'file', note, retryOnConflict: true })
        : document;
      await this.#settle(outcome, sha256);
    } catch (error) {
      log.error({ err: error, path }, 'the routing file cannot be read');
    }
  }

  async #settle(outcome: Outcome<{ revision: number; changed: boolean }>, sha256: string): Promise<void> {
    const { path, store, clock, log } = this.#options;
    if (!outcome.ok && (outcome.error.code === 'storage_unavailable' || outcome.error.code === 'conflict')) {
      this.#failures += 1;
      if (this.#failures === 1) log.warn({ path, failure: outcome.error }, 'the routing file waits for the storage');
      this.#schedule(Math.min(LIMITS.routingLoadRetryMaxMs, RETRY_MIN_MS * 2 ** Math.min(this.#failures, 10)));
      return;
    }
    this.#failures = 0;
    this.#sha256 = sha256;
    const common = { source: 'file', at: new Date(clock.nowMs()).toISOString() } as const;
    if (outcome.ok) {
      const { revision, changed } = outcome.value;
      log.info({ path, revision, changed }, 'the routing file is in force');
      await writeHeadStatus(
        store,
        { ...common, state: changed ? 'published' : 'unchanged', revision, detail: path },
        log,
      );
      return;
    }
    const { detail, errors = [] } = outcome.error;
    log.error({ path, detail, errors }, 'the routing file is refused, the old routing stays');
    await writeHeadStatus(store, { ...common, state: 'refused', detail: `${path}: ${detail}`, errors }, log);
  }
}

async function readBounded(path: string): Promise<Buffer> {
  const { size } = await stat(path);
  if (size > LIMITS.routingDocumentMaxBytes) throw new Error(`${path} has ${size} bytes`);
  return readFile(path);
}

/** YAML aliases are counted by the parser: a small file cannot unfold into a huge document. Keys may not repeat. */
function parseFile(path: string, text: string): Outcome<unknown> {
  const isYaml = ['.yaml', '.yml'].includes(extname(path).toLowerCase());
  try {
    const value: unknown = isYaml ? parseYaml(text, { uniqueKeys: true, maxAliasCount: 100 }) : JSON.parse(text);
    return { ok: true, value };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const mistake = { pointer: '', code: 'wrong_type', detail };
    return refuse('validation_failed', `The file is not ${isYaml ? 'YAML' : 'JSON'}`, [mistake]);
  }
}
