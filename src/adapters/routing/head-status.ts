import { parseObject } from '#domain/routing/canonical.ts';
import type { Log } from '#platform/log.ts';
import type { KeyValueStore, Watch } from '#ports/key-value-store.ts';
import type { HeadStatus } from '#ports/routing.ts';
import { HEAD_STATUS_KEY } from './keys.ts';

const SCHEMA = 1;

/** Writes the status; a failure is only logged, because it must not keep routing from going on. */
export async function writeHeadStatus(
  store: Pick<KeyValueStore, 'commit'>,
  status: HeadStatus,
  log: Log,
): Promise<void> {
  try {
    await store.commit([{ key: HEAD_STATUS_KEY, value: Buffer.from(JSON.stringify({ schema: SCHEMA, ...status })) }]);
  } catch (error) {
    log.warn({ err: error, status }, 'status.head was not written');
  }
}

/** Follows `status.head`, so that it can be told of from memory, whether the storage answers or not. */
export class HeadStatusWatch implements AsyncDisposable {
  readonly #watch: Watch;
  #current: HeadStatus | undefined;

  constructor(store: Pick<KeyValueStore, 'watch'>) {
    this.#watch = store.watch({
      filters: [HEAD_STATUS_KEY],
      onReset: () => {
        this.#current = undefined;
      },
      onChanges: (changes) => {
        const value = changes.at(-1)?.value;
        this.#current = value === undefined ? undefined : parseHeadStatus(Buffer.from(value).toString('utf8'));
      },
      onSynced: () => undefined,
    });
  }

  /** Undefined when there never was one, when it is not known yet, and when it is of a schema unknown here. */
  current(): HeadStatus | undefined {
    return this.#current;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch[Symbol.asyncDispose]();
  }
}

/** Written by this program, hence only what another version could have written differently is checked. */
function parseHeadStatus(text: string): HeadStatus | undefined {
  const { schema, ...status } = parseObject(text) ?? {};
  return schema === SCHEMA && isHeadStatus(status) ? status : undefined;
}

function isHeadStatus(status: object): status is HeadStatus {
  const { source, state, at, detail, revision }: Partial<Record<keyof HeadStatus, unknown>> = status;
  const hasTexts = typeof source === 'string' && typeof state === 'string' && typeof detail === 'string';
  return hasTexts && typeof at === 'string' && (revision === undefined || typeof revision === 'number');
}
