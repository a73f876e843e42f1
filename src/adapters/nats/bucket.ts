import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#platform/log.ts';
import { StoreError } from '#ports/key-value-store.ts';
import type { NatsLink } from './connection.ts';
import { callApi, STREAM_NOT_FOUND, storeErrorOf } from './jetstream-api.ts';

/** What a bucket of ours is made of: a KV-shaped stream with atomic batches and per-message TTL. */
export interface BucketSettings {
  readonly bucket: string;
  readonly replicas: number;
}

export const streamName = (bucket: string): string => `KV_${bucket}`;
export const subjectPrefix = (bucket: string): string => `$KV.${bucket}.`;

/** Settings a bucket must have for our guarantees to hold (docs/storage.md). */
const REQUIRED = {
  max_msgs_per_subject: 1,
  discard: 'new',
  deny_delete: true,
  allow_rollup_hdrs: true,
  allow_direct: false,
  allow_atomic: true,
  allow_msg_ttl: true,
  storage: 'file',
  retention: 'limits',
} as const;

/**
 * Deleted keys leave a marker for this long, so that a watcher that was away learns of the deletion. Of ROUTING only
 * `head` is watched, which is never deleted, and every move leaves garbage behind.
 */
const DELETE_MARKER_TTL_SECONDS = 3_600;
const ROUTING_DELETE_MARKER_TTL_SECONDS = 10;

/**
 * Creates the bucket when it does not exist and refuses one whose settings are weaker than required.
 * @throws StoreError `unavailable`, or `invalid` naming the setting that differs
 */
export async function ensureBucket(link: NatsLink, settings: BucketSettings): Promise<void> {
  const stream = streamName(settings.bucket);
  const found = await callApi(link, `STREAM.INFO.${stream}`);
  if ('answer' in found) {
    verify(stream, found.answer['config']);
    return;
  }
  if (found.error.err_code !== STREAM_NOT_FOUND) throw storeErrorOf(found.error);
  const created = await callApi(link, `STREAM.CREATE.${stream}`, {
    name: stream,
    subjects: [`${subjectPrefix(settings.bucket)}>`],
    num_replicas: settings.replicas,
    subject_delete_marker_ttl:
      1e9 * (settings.bucket === 'ROUTING' ? ROUTING_DELETE_MARKER_TTL_SECONDS : DELETE_MARKER_TTL_SECONDS),
    duplicate_window: 120_000_000_000,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    ...REQUIRED,
  });
  if ('answer' in created) return;
  // Another replica may have created it in the same moment.
  const again = await callApi(link, `STREAM.INFO.${stream}`);
  if ('error' in again) throw storeErrorOf(created.error);
  verify(stream, again.answer['config']);
}

const RETRY_MS = 500;

/**
 * Does what ensureBucket does for as long as the storage is unavailable, or until `shutdown`.
 * @throws StoreError `invalid`, or AbortError
 */
export async function ensureBucketEventually(
  link: NatsLink,
  options: BucketSettings & { readonly log: Log; readonly shutdown: AbortSignal },
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ensureBucket(link, options);
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind === 'invalid') throw error;
      if (attempt % 20 === 1)
        options.log.warn({ bucket: options.bucket, reason: error.message }, 'bucket not available yet');
      await sleep(RETRY_MS, undefined, { signal: options.shutdown });
    }
  }
}

function verify(stream: string, config: unknown): void {
  const actual =
    config !== null && typeof config === 'object' ? new Map<string, unknown>(Object.entries(config)) : new Map();
  for (const [setting, required] of Object.entries(REQUIRED)) {
    const value = actual.get(setting) ?? (typeof required === 'boolean' ? false : undefined);
    if (value !== required) {
      throw storeErrorOf({
        code: 400,
        err_code: 0,
        description: `stream ${stream} has ${setting}=${String(value)} where ${String(required)} is required`,
      });
    }
  }
}
