import { headers, type MsgHdrs, nuid } from '@nats-io/transport-node';
import { LIMITS } from '#domain/limits.ts';
import { StoreError, type Write } from '#ports/key-value-store.ts';
import { streamName, subjectPrefix } from './bucket.ts';
import { type NatsLink, requireConnected } from './connection.ts';
import { type ApiError, storeErrorOf, storeErrorOfClient } from './jetstream-api.ts';

/** NATS KV keys, stricter than the client library: `a..b` and user text never reach the server. */
const KEY = /^[-\w=/]+(\.[-\w=/]+)*$/;
/** Left free in a message of the server's maximum size for our headers. */
const HEADER_ROOM_BYTES = 1_024;

interface Message {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: MsgHdrs;
}

const NOTHING = new Uint8Array(0);

/**
 * Commits writes to one bucket, all or nothing: one message for one write, an atomic batch (ADR-50) for more.
 * The client library's batch publisher drops the expectations of all but the first message, hence our own.
 * @throws StoreError as KeyValueStore.commit says
 */
export async function commitWrites(
  link: NatsLink,
  bucket: string,
  writes: readonly Write[],
): Promise<{ readonly revision: number }> {
  requireConnected(link);
  const messages = toMessages(bucket, writes, (link.nc.info?.max_payload ?? 1_048_576) - HEADER_ROOM_BYTES);
  const last = messages.at(-1);
  if (last === undefined) throw new StoreError('invalid', 'a commit needs at least one write');
  for (const message of messages.slice(0, -1)) {
    link.nc.publish(message.subject, message.body, { headers: message.headers });
  }
  const answer = await request(link, last);
  if (answer.error !== undefined) throw storeErrorOf(answer.error);
  if (answer.seq === undefined || (messages.length > 1 && answer.count !== messages.length)) {
    throw new StoreError('outcome_unknown', `unexpected commit answer: ${JSON.stringify(answer)}`);
  }
  return { revision: answer.seq };
}

interface CommitAnswer {
  readonly seq?: number;
  readonly count?: number;
  readonly error?: ApiError;
}

async function request(link: NatsLink, message: Message): Promise<CommitAnswer> {
  try {
    const reply = await link.nc.request(message.subject, message.body, {
      headers: message.headers,
      timeout: LIMITS.storageTimeoutMs,
    });
    return reply.json<CommitAnswer>();
  } catch (error) {
    throw storeErrorOfClient(error, true);
  }
}

/** Checked before the first byte is sent: a batch that breaks off holds one of the server's 50 slots for 10 s. */
function toMessages(bucket: string, writes: readonly Write[], bodyMaxBytes: number): readonly Message[] {
  if (writes.length > LIMITS.commitWritesMaxCount)
    throw new StoreError('invalid', `${writes.length} writes in one commit`);
  const keys = new Set<string>();
  const batchId = nuid.next();
  return writes.map((write, index) => {
    if (write.key.length > LIMITS.keyMaxBytes || !KEY.test(write.key)) {
      throw new StoreError('invalid', `not a key: ${JSON.stringify(write.key.slice(0, 80))}`);
    }
    if (keys.has(write.key)) throw new StoreError('invalid', `key twice in one commit: ${write.key}`);
    keys.add(write.key);
    const body = write.value ?? NOTHING;
    if (body.length > bodyMaxBytes) throw new StoreError('invalid', `${body.length} bytes for ${write.key}`);
    const place = { batchId, sequence: index + 1, count: writes.length };
    return { subject: `${subjectPrefix(bucket)}${write.key}`, body, headers: headersOf(bucket, write, place) };
  });
}

function headersOf(
  bucket: string,
  write: Write,
  place: { readonly batchId: string; readonly sequence: number; readonly count: number },
): MsgHdrs {
  const result = headers();
  result.set('Nats-Expected-Stream', streamName(bucket));
  if (place.count > 1) {
    result.set('Nats-Batch-Id', place.batchId);
    result.set('Nats-Batch-Sequence', String(place.sequence));
    if (place.sequence === place.count) result.set('Nats-Batch-Commit', '1');
  }
  if (write.value === undefined) result.set('KV-Operation', 'DEL');
  if (write.ttlSeconds !== undefined) result.set('Nats-TTL', `${write.ttlSeconds}s`);
  if (write.expect !== undefined) result.set('Nats-Expected-Last-Subject-Sequence', String(write.expect));
  return result;
}
