import type { FieldError } from '../errors.ts';

/** What a command's final message says of itself: all values found for each field, as Envoy extracted them. */
export interface MessageFields {
  readonly aggregate_type: readonly string[];
  readonly aggregate_id: readonly string[];
  readonly command_id: readonly string[];
}

const FIELDS = ['aggregate_type', 'aggregate_id', 'command_id'] as const;
const NO_ERRORS: readonly FieldError[] = [];

/** The value of a field that is there exactly once and not empty; Envoy lets pass what it could not read. */
export const soleValue = (values: readonly string[]): string | undefined =>
  values.length === 1 && values[0] !== '' ? values[0] : undefined;

/** The fields that are not there exactly once. */
export function omissions(message: MessageFields): readonly FieldError[] {
  if (FIELDS.every((field) => soleValue(message[field]) !== undefined)) return NO_ERRORS;
  return FIELDS.flatMap((field) => {
    const values = message[field];
    if (soleValue(values) !== undefined) return [];
    const several = values.length > 1;
    const detail = several ? 'must be there only once' : 'must be there and not empty';
    return [{ pointer: `/${field}`, code: several ? 'ambiguous' : 'required', detail }];
  });
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
