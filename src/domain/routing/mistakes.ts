import type { FieldError } from '../errors.ts';
import { LIMITS } from '../limits.ts';

/** The rules a routing document or a change can break; the `code` of its field errors. */
export type MistakeCode =
  | 'wrong_type'
  | 'missing'
  | 'unknown_member'
  | 'too_many'
  | 'out_of_range'
  | 'invalid_value'
  | 'invalid_tenant_id'
  | 'invalid_shard_name'
  | 'invalid_address'
  | 'unknown_shard'
  | 'empty_shard'
  | 'duplicate_endpoint'
  | 'duplicate_tenant';

/** A JSON pointer to a member (RFC 6901: `~` is written `~0`, `/` is written `~1`); no members point to the whole. */
export const pointerTo = (...members: readonly (string | number)[]): string =>
  members.map((member) => `/${String(member).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** Collects every mistake of one input. Only the first `routingErrorsMaxCount` are kept; the rest are counted. */
export class Mistakes {
  readonly #kept: FieldError[] = [];
  #count = 0;

  /** `members` lead from the whole input to the mistaken value. */
  add(members: readonly (string | number)[], code: MistakeCode, detail: string): void {
    this.#count += 1;
    if (this.#kept.length < LIMITS.routingErrorsMaxCount) {
      this.#kept.push({ pointer: pointerTo(...members), code, detail });
    }
  }

  get count(): number {
    return this.#count;
  }

  /** At most `routingErrorsMaxCount` entries; when there were more, the last one says how many are not shown. */
  list(): readonly FieldError[] {
    if (this.#count <= this.#kept.length) return this.#kept;
    const shown = this.#kept.slice(0, LIMITS.routingErrorsMaxCount - 1);
    const hidden = this.#count - shown.length;
    return [...shown, { pointer: '', code: 'too_many', detail: `${hidden} more mistakes are not shown` }];
  }
}

/** A JSON object: members by name, nothing known of them yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value parsed from JSON or YAML is an object (not an array, not null). */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What a value is, in the words of an error message; a text is quoted, shortened. */
export function described(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}...` : value);
  if (typeof value === 'object') return 'an object';
  return String(value);
}

/** The value as an object; else a mistake and undefined. */
export function objectAt(value: unknown, at: readonly (string | number)[], mistakes: Mistakes): JsonObject | undefined {
  if (isJsonObject(value)) return value;
  mistakes.add(at, 'wrong_type', `must be an object, not ${described(value)}`);
  return undefined;
}

/** Reports each member that is not in `known`: a misspelt setting must not be ignored silently. */
export function refuseUnknownMembers(
  object: JsonObject,
  { known, at, mistakes }: { known: readonly string[]; at: readonly (string | number)[]; mistakes: Mistakes },
): void {
  for (const name of Object.keys(object)) {
    if (!known.includes(name)) {
      mistakes.add([...at, name], 'unknown_member', `is not known here; known: ${known.join(', ')}`);
    }
  }
}
