import type { FieldError } from '../errors.ts';

/** What a command's final message says of itself: all values found for each field, as Envoy extracted them. */
export interface MessageFields {
  readonly aggregate_type: readonly string[];
  readonly aggregate_id: readonly string[];
  readonly command_id: readonly string[];
}

/**
 * What `x-command-id` and `idempotency-key` said, in this order: one entry for each of the two that was there, undefined
 * where it was there several times.
 */
export type CommandIdHeaders = readonly (string | undefined)[];

const FIELDS = ['aggregate_type', 'aggregate_id', 'command_id'] as const;
const NO_ERRORS: readonly FieldError[] = [];

/** The value of a field that is there exactly once and not empty; Envoy lets pass what it could not read. */
export const soleValue = (values: readonly string[]): string | undefined =>
  values.length === 1 && values[0] !== '' ? values[0] : undefined;

/** The id rule of the published .proto file. Every id of this form is a header value and a grpc-metadata value. */
const COMMAND_ID = /^[A-Za-z0-9._:~@-]{1,128}$/;

/**
 * The one id of a command: its message's, else `x-command-id`, else `idempotency-key`. Whatever else names one must name
 * the same: a caller that repeats a command under one key and another id would otherwise believe itself safe.
 * @returns the id, or why there is none
 */
export function commandIdOf(said: readonly string[], headers: CommandIdHeaders): string | FieldError {
  if (said.length > 1 || headers.includes(undefined)) return wrongId('ambiguous', ONCE);
  const own = said[0] ?? '';
  const id = own === '' ? headers[0] : own;
  if (id === undefined) return wrongId('required', 'send command_id, or x-command-id or Idempotency-Key as a header');
  if (!COMMAND_ID.test(id)) return wrongId('format', 'must be 1 to 128 of A-Z a-z 0-9 . _ : ~ @ -');
  if (headers.some((other) => other !== id)) return wrongId('mismatch', 'command_id and the headers name two commands');
  return id;
}

const ONCE = 'must be there only once';
const wrongId = (code: string, detail: string): FieldError => ({ pointer: '/command_id', code, detail });

/** What a command does not name exactly once. @param id the mistake in its id, undefined for none */
export function omissions(message: MessageFields, id: FieldError | undefined): readonly FieldError[] {
  const isNamed = soleValue(message.aggregate_type) !== undefined && soleValue(message.aggregate_id) !== undefined;
  if (isNamed && id === undefined) return NO_ERRORS;
  const errors: FieldError[] = [];
  for (const field of ['aggregate_type', 'aggregate_id'] as const) {
    const values = message[field];
    if (soleValue(values) !== undefined) continue;
    const several = values.length > 1;
    const detail = several ? ONCE : 'must be there and not empty';
    errors.push({ pointer: `/${field}`, code: several ? 'ambiguous' : 'required', detail });
  }
  if (id !== undefined) errors.push(id);
  return errors;
}

/**
 * The fields in which a JSON command says something else than its path. A query parameter or another spelling in the
 * body can do that, and the message has the last word: nobody who reads the path (a log, a cache, a firewall) may be
 * misled by it.
 */
export function mismatches(
  message: MessageFields,
  pathFields: ReadonlyMap<string, string | undefined>,
): readonly FieldError[] {
  return FIELDS.flatMap((field) => {
    if (!pathFields.has(field)) return [];
    const said = soleValue(message[field]);
    if (said !== undefined && said === pathFields.get(field)) return [];
    return [{ pointer: `/${field}`, code: 'mismatch', detail: 'must be what the path says' }];
  });
}
