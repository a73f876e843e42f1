import type { FieldError } from '#domain/errors.ts';
import type { Log } from '#platform/log.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { HEAD_STATUS_KEY } from './keys.ts';

/** What became of routing that did not come by the API: readable with any NATS client under `status.head`. */
export interface HeadStatus {
  readonly source: 'inline' | 'file';
  readonly state: 'published' | 'unchanged' | 'refused';
  readonly at: string;
  /** The revision in force afterwards, 0 when there is none; absent where the writer cannot know it. */
  readonly revision?: number;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
}

/** Writes the status; a failure is only logged, because it must not keep routing from going on. */
export async function writeHeadStatus(
  store: Pick<KeyValueStore, 'commit'>,
  status: HeadStatus,
  log: Log,
): Promise<void> {
  try {
    await store.commit([{ key: HEAD_STATUS_KEY, value: Buffer.from(JSON.stringify({ schema: 1, ...status })) }]);
  } catch (error) {
    log.warn({ err: error, status }, 'status.head was not written');
  }
}
