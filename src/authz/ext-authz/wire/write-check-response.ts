import { LIMITS } from '#domain/limits.ts';
import { BackwardWriter } from './protobuf-writer.ts';

/** Name and value, both visible ASCII: Envoy refuses anything else (`validate_mutations`). */
export type Pair = readonly [name: string, value: string];

/** An answer that lets the request pass. */
export interface OkAnswer {
  /** Request headers to set, whatever the client sent under these names. */
  readonly headers: readonly Pair[];
  /** Request headers to take away, made by {@link headersToRemove}. */
  readonly removed: Buffer;
  /** Headers that the response to the client gets, whoever makes it; most have none. */
  readonly responseHeaders?: readonly Pair[] | undefined;
  readonly metadata: readonly Pair[];
}

/** An answer that Envoy sends to the client instead of passing the request on. */
export interface DeniedAnswer {
  readonly httpStatus: number;
  /** google.rpc.Code; never 0. */
  readonly grpcStatus: number;
  readonly headers: readonly Pair[];
  readonly body: string;
  readonly metadata: readonly Pair[];
}

/** Field numbers of the Envoy API, v3. */
const CHECK_RESPONSE = { status: 1, denied: 2, ok: 3, dynamicMetadata: 4 } as const;
const STATUS = { code: 1 } as const;
const OK = { headers: 2, headersToRemove: 5, responseHeaders: 6 } as const;
const DENIED = { status: 1, headers: 2, body: 3 } as const;
const HTTP_STATUS = { code: 1 } as const;
const HEADER_OPTION = { header: 1, appendAction: 3 } as const;
const HEADER = { key: 1, value: 2 } as const;
const STRUCT = { fields: 1 } as const;
const ENTRY = { key: 1, value: 2 } as const;
const VALUE = { text: 3 } as const;
const OVERWRITE_IF_EXISTS_OR_ADD = 2;

const writer = new BackwardWriter(LIMITS.checkResponseMaxBytes);

/** `CheckResponse` with an `OkHttpResponse`: every header overwrites. */
export function writeOk(answer: OkAnswer): Buffer {
  writer.begin();
  writeMetadata(answer.metadata);
  const mark = writer.mark();
  if (answer.responseHeaders !== undefined) writeHeaders(OK.responseHeaders, answer.responseHeaders);
  writer.raw(answer.removed);
  writeHeaders(OK.headers, answer.headers);
  writer.message(CHECK_RESPONSE.ok, mark);
  // The status stays 0 (OK) and so is left out; the empty message says that it is meant.
  writer.message(CHECK_RESPONSE.status, writer.mark());
  return writer.finish();
}

/** `CheckResponse` with a `DeniedHttpResponse`; its status is never 0, so that nothing can take it for an allowed one. */
export function writeDenied(answer: DeniedAnswer): Buffer {
  if (answer.grpcStatus === 0) throw new RangeError('a denial with status OK would allow');
  writer.begin();
  writeMetadata(answer.metadata);
  const mark = writer.mark();
  writer.text(DENIED.body, answer.body);
  writeHeaders(DENIED.headers, answer.headers);
  const status = writer.mark();
  writer.number(HTTP_STATUS.code, answer.httpStatus);
  writer.message(DENIED.status, status);
  writer.message(CHECK_RESPONSE.denied, mark);
  const code = writer.mark();
  writer.number(STATUS.code, answer.grpcStatus);
  writer.message(CHECK_RESPONSE.status, code);
  return writer.finish();
}

/** The part of an {@link OkAnswer} that takes request headers away; made once per list. */
export function headersToRemove(names: readonly string[]): Buffer {
  writer.begin();
  for (let index = names.length - 1; index >= 0; index -= 1) writer.ascii(OK.headersToRemove, names[index] ?? '');
  return writer.finish();
}

function writeHeaders(fieldNumber: number, headers: readonly Pair[]): void {
  for (let index = headers.length - 1; index >= 0; index -= 1) {
    const pair = headers[index];
    if (pair === undefined) continue;
    const option = writer.mark();
    writer.number(HEADER_OPTION.appendAction, OVERWRITE_IF_EXISTS_OR_ADD);
    const header = writer.mark();
    writer.ascii(HEADER.value, pair[1]);
    writer.ascii(HEADER.key, pair[0]);
    writer.message(HEADER_OPTION.header, header);
    writer.message(fieldNumber, option);
  }
}

/** A google.protobuf.Struct of texts: Envoy keeps it under the filter's name, for the access log. */
function writeMetadata(pairs: readonly Pair[]): void {
  const struct = writer.mark();
  for (let index = pairs.length - 1; index >= 0; index -= 1) {
    const pair = pairs[index];
    if (pair === undefined) continue;
    const entry = writer.mark();
    writer.ascii(VALUE.text, pair[1]);
    writer.message(ENTRY.value, entry);
    writer.ascii(ENTRY.key, pair[0]);
    writer.message(STRUCT.fields, entry);
  }
  writer.message(CHECK_RESPONSE.dynamicMetadata, struct);
}
