import { LIMITS } from '#domain/limits.ts';
import { StoreError, type StoreErrorKind } from '#ports/key-value-store.ts';
import { type NatsLink, requireConnected } from './connection.ts';

/** JetStream error codes that have a meaning for us (`err_code` of an API answer). */
const KIND_OF_ERROR: Readonly<Record<number, StoreErrorKind>> = {
  10071: 'conflict', // wrong last sequence
  10164: 'conflict', // another write to the key is in flight
  10176: 'unavailable', // batch lost or incomplete: nothing written
  10210: 'unavailable', // too many open batches
  10008: 'unavailable', // no leader yet
  10074: 'unavailable', // replicas not current
  10023: 'unavailable', // insufficient resources
};

export interface ApiError {
  readonly code: number;
  readonly err_code: number;
  readonly description: string;
}

export const STREAM_NOT_FOUND = 10059;
export const MESSAGE_NOT_FOUND = 10037;

/** The StoreError of a JetStream error answer. Codes we do not know are bugs or wrong configuration: `invalid`. */
export function storeErrorOf(error: ApiError): StoreError {
  const kind = KIND_OF_ERROR[error.err_code] ?? (error.code === 503 || error.code === 429 ? 'unavailable' : 'invalid');
  return new StoreError(kind, `JetStream ${error.err_code}: ${error.description}`);
}

/** The StoreError of what the client library throws: no answer in time leaves the outcome unknown. */
export function storeErrorOfClient(error: unknown, written: boolean): StoreError {
  const message = error instanceof Error ? error.message : String(error);
  const noResponders = error instanceof Error && /no ?responders|503/i.test(`${error.name} ${message}`);
  return new StoreError(written && !noResponders ? 'outcome_unknown' : 'unavailable', message, { cause: error });
}

/**
 * One call of the JetStream API.
 * @returns the answer, or its error member as data
 * @throws StoreError `unavailable`
 */
export async function callApi(
  link: NatsLink,
  subject: string,
  body: unknown = undefined,
): Promise<{ readonly answer: Record<string, unknown> } | { readonly error: ApiError }> {
  requireConnected(link);
  const payload = body === undefined ? '' : JSON.stringify(body);
  try {
    const reply = await link.nc.request(`$JS.API.${subject}`, payload, { timeout: LIMITS.storageTimeoutMs });
    const answer = reply.json<Record<string, unknown> & { error?: ApiError }>();
    return answer.error === undefined ? { answer } : { error: answer.error };
  } catch (error) {
    throw storeErrorOfClient(error, false);
  }
}
