import type { Msg, MsgHdrs } from '@nats-io/transport-node';

/** One message of a bucket's stream as a consumer of it delivers it. */
export interface Entry {
  readonly key: string;
  readonly revision: number;
  /** Absent: the key is gone (deleted, purged or expired). */
  readonly value?: Uint8Array;
  /** Place in the consumer's delivery order, without gaps. */
  readonly deliverySequence: number;
  /** Messages that match and have not been delivered yet. */
  readonly pending: number;
  readonly batch?: { readonly id: string; readonly isCommit: boolean };
}

/** Whether a message says that its key is gone: by us, or by the server when a TTL ran out. */
function isRemoval(headers: MsgHdrs | undefined): boolean {
  if (headers === undefined) return false;
  const operation = headers.get('KV-Operation');
  return operation === 'DEL' || operation === 'PURGE' || headers.get('Nats-Marker-Reason') !== '';
}

/**
 * Reads the position of a delivered message from its reply subject:
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`, newer servers put
 * `<domain>.<account>` before the stream.
 */
export function parseEntry(message: Msg, subjectPrefixLength: number): Entry {
  const tokens = (message.reply ?? '').split('.');
  const offset = tokens.length < 11 ? 0 : 2;
  const batchId = message.headers?.get('Nats-Batch-Id') ?? '';
  return {
    key: message.subject.slice(subjectPrefixLength),
    revision: Number(tokens[5 + offset]),
    deliverySequence: Number(tokens[6 + offset]),
    pending: Number(tokens[8 + offset]),
    ...(isRemoval(message.headers) ? {} : { value: message.data }),
    ...(batchId === ''
      ? {}
      : { batch: { id: batchId, isCommit: (message.headers?.get('Nats-Batch-Commit') ?? '') !== '' } }),
  };
}
