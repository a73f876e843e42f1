import type { DescEnum } from '@bufbuild/protobuf';
import { isReflectList, isReflectMessage, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import { headerFormat, TEXT_FORMATS } from './proto-rule-formats.ts';

/** Which rule a value breaks (`string.min_len`) and, for people, what would be right. */
export interface Violation {
  readonly code: string;
  readonly detail: string;
}

/** One rule, ready to be put to values of its field. */
export type Check = (value: unknown) => Violation | undefined;

/** The rules of one kind (a `StringRules`, a `DurationRules`, ...) with the kind's name for the codes. */
export interface Rules {
  readonly kind: string;
  readonly message: ReflectMessage;
}

/** The value of one rule, undefined when it is not set; a list when it is repeated. */
export function rule(rules: Rules, name: string): unknown {
  const field = rules.message.desc.fields.find((candidate) => candidate.name === name);
  if (field === undefined || !rules.message.isSet(field)) return undefined;
  const value: unknown = rules.message.get(field);
  return isReflectList(value) ? [...value] : value;
}

/** Rules about presence and containers, which the walker itself obeys. */
const WALKER_RULES = new Set(['required', 'skip', 'ignore_empty', 'strict', 'items', 'keys', 'values']);

/**
 * The checks of every rule that is set.
 * @throws Error on a rule that is not known here: passing it over in silence would be a hole
 */
export function checksOf(rules: Rules, enumType?: DescEnum): readonly Check[] {
  const found: Check[] = rangeChecks(rules);
  for (const field of rules.message.desc.fields) {
    if (!rules.message.isSet(field) || WALKER_RULES.has(field.name) || RANGE_RULES.has(field.name)) continue;
    const check = checkOf(rules, field.name, rule(rules, field.name), enumType);
    if (check === undefined) throw new Error(`the validation rule ${rules.kind}.${field.name} is not supported`);
    found.push(check);
  }
  return found;
}

function checkOf(rules: Rules, name: string, operand: unknown, enumType?: DescEnum): Check | undefined {
  const holds = predicateOf(rules, name, operand, enumType);
  if (holds === undefined) return undefined;
  const code = `${rules.kind}.${name}`;
  const detail = operand === true ? `must satisfy ${name}` : `must satisfy ${name} ${shown(operand)}`;
  return (value) => (holds(value) ? undefined : { code, detail });
}

type Predicate = (value: unknown) => boolean;

function predicateOf(rules: Rules, name: string, operand: unknown, enumType?: DescEnum): Predicate | undefined {
  if (operand === false) return () => true;
  if (name === 'const') return (value) => same(value, operand);
  if (name === 'in' && Array.isArray(operand)) return (value) => operand.some((item) => same(value, item));
  if (name === 'not_in' && Array.isArray(operand)) return (value) => !operand.some((item) => same(value, item));
  if (name === 'defined_only' && enumType !== undefined)
    return (value) => typeof value === 'number' && enumType.value[value] !== undefined;
  if (name === 'unique') return isUnique;
  if (SIZE_RULES[name] !== undefined) return sizePredicate(SIZE_RULES[name], rules.kind, operand);
  if (rules.kind === 'string') return stringPredicate(rules, name, operand);
  if (rules.kind === 'bytes') return bytesPredicate(name, operand);
  return undefined;
}

const RANGE_SIGNS: Readonly<Record<string, string>> = { lt: '<', lte: '<=', gt: '>', gte: '>=' };
const RANGE_RULES = new Set(Object.keys(RANGE_SIGNS));

/**
 * Bounds. When the upper one lies below the lower one, protoc-gen-validate means everything outside of the two.
 */
function rangeChecks(rules: Rules): Check[] {
  const bounds = { gt: bound(rules, 'gt'), gte: bound(rules, 'gte'), lt: bound(rules, 'lt'), lte: bound(rules, 'lte') };
  const [lower, upper] = [bounds.gt ?? bounds.gte, bounds.lt ?? bounds.lte];
  const above: Predicate = (value) =>
    compare(value, bounds.gt, (a, b) => a > b) && compare(value, bounds.gte, (a, b) => a >= b);
  const below: Predicate = (value) =>
    compare(value, bounds.lt, (a, b) => a < b) && compare(value, bounds.lte, (a, b) => a <= b);
  const names = Object.entries(bounds).filter(([, operand]) => operand !== undefined);
  const text = names.map(([name, operand]) => `${RANGE_SIGNS[name]} ${shown(operand)}`);
  const code = (name: string | undefined) => `${rules.kind}.${name}`;
  if (lower !== undefined && upper !== undefined && upper < lower)
    return [
      (value) =>
        above(value) || below(value)
          ? undefined
          : { code: code(names[0]?.[0]), detail: `must be ${text.join(' or ')}` },
    ];
  return [
    ...(lower === undefined ? [] : [bounded(above, code(bounds.gt === undefined ? 'gte' : 'gt'), text)]),
    ...(upper === undefined ? [] : [bounded(below, code(bounds.lt === undefined ? 'lte' : 'lt'), text)]),
  ];
}

const bounded =
  (holds: Predicate, code: string, text: readonly string[]): Check =>
  (value) =>
    holds(value) ? undefined : { code, detail: `must be ${text.join(' and ')}` };

const bound = (rules: Rules, name: string) => ordered(rule(rules, name));

function compare(
  value: unknown,
  operand: number | bigint | undefined,
  holds: (a: number | bigint, b: number | bigint) => boolean,
): boolean {
  if (operand === undefined) return true;
  const own = ordered(value);
  return own !== undefined && holds(own, operand);
}

/** Numbers as they are, a Duration or Timestamp as its nanoseconds. */
function ordered(value: unknown): number | bigint | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (!isReflectMessage(value)) return undefined;
  const part = (name: string): unknown => {
    const field = value.desc.fields.find((candidate) => candidate.name === name);
    return field === undefined ? undefined : value.get(field);
  };
  const [seconds, nanos] = [part('seconds'), part('nanos')];
  if (typeof seconds !== 'bigint' || typeof nanos !== 'number') return undefined;
  return seconds * 1_000_000_000n + BigInt(nanos);
}

/** What is counted, and which way the bound cuts. */
const SIZE_RULES: Readonly<
  Record<string, { readonly unit: 'characters' | 'bytes' | 'items'; readonly cut: 'min' | 'max' | 'exact' }>
> = {
  len: { unit: 'characters', cut: 'exact' },
  min_len: { unit: 'characters', cut: 'min' },
  max_len: { unit: 'characters', cut: 'max' },
  len_bytes: { unit: 'bytes', cut: 'exact' },
  min_bytes: { unit: 'bytes', cut: 'min' },
  max_bytes: { unit: 'bytes', cut: 'max' },
  min_items: { unit: 'items', cut: 'min' },
  max_items: { unit: 'items', cut: 'max' },
  min_pairs: { unit: 'items', cut: 'min' },
  max_pairs: { unit: 'items', cut: 'max' },
};

function sizePredicate(
  size: NonNullable<(typeof SIZE_RULES)[string]>,
  kind: string,
  operand: unknown,
): Predicate | undefined {
  if (typeof operand !== 'bigint') return undefined;
  return (value) => {
    const count = BigInt(sizeOf(value, kind === 'string' ? size.unit : 'items'));
    if (size.cut === 'exact') return count === operand;
    return size.cut === 'min' ? count >= operand : count <= operand;
  };
}

function sizeOf(value: unknown, unit: 'characters' | 'bytes' | 'items'): number {
  if (typeof value === 'string') return unit === 'bytes' ? Buffer.byteLength(value) : [...value].length;
  if (value instanceof Uint8Array) return value.length;
  return typeof value === 'object' && value !== null && 'size' in value ? Number(value.size) : 0;
}

function stringPredicate(rules: Rules, name: string, operand: unknown): Predicate | undefined {
  const holds = textPredicate(rules, name, operand);
  return holds === undefined ? undefined : (value) => typeof value === 'string' && holds(value);
}

function textPredicate(rules: Rules, name: string, operand: unknown): ((text: string) => boolean) | undefined {
  if (name === 'well_known_regex' && typeof operand === 'number')
    return headerFormat(operand, rule(rules, 'strict') !== false);
  if (operand === true) return TEXT_FORMATS[name];
  if (typeof operand !== 'string') return undefined;
  if (name === 'pattern') return matcher(operand);
  if (name === 'prefix') return (text) => text.startsWith(operand);
  if (name === 'suffix') return (text) => text.endsWith(operand);
  if (name === 'contains') return (text) => text.includes(operand);
  if (name === 'not_contains') return (text) => !text.includes(operand);
  return undefined;
}

/** The patterns are RE2; the ones in use mean the same in ECMAScript's Unicode mode, and others do not compile. */
function matcher(pattern: string): (text: string) => boolean {
  const expression = new RegExp(pattern, 'u');
  return (text) => expression.test(text);
}

function bytesPredicate(name: string, operand: unknown): Predicate | undefined {
  const onBytes =
    (holds: (bytes: Buffer) => boolean): Predicate =>
    (value) =>
      value instanceof Uint8Array && holds(Buffer.from(value));
  if (name === 'ip') return onBytes((bytes) => bytes.length === 4 || bytes.length === 16);
  if (name === 'ipv4') return onBytes((bytes) => bytes.length === 4);
  if (name === 'ipv6') return onBytes((bytes) => bytes.length === 16);
  if (name === 'pattern' && typeof operand === 'string') {
    const matches = matcher(operand);
    return onBytes((bytes) => matches(bytes.toString('utf8')));
  }
  if (!(operand instanceof Uint8Array)) return undefined;
  if (name === 'prefix') return onBytes((bytes) => bytes.subarray(0, operand.length).equals(operand));
  if (name === 'suffix')
    return onBytes((bytes) => bytes.subarray(Math.max(0, bytes.length - operand.length)).equals(operand));
  if (name === 'contains') return onBytes((bytes) => bytes.includes(operand));
  return undefined;
}

function same(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  const [left, right] = [ordered(a), ordered(b)];
  return left !== undefined && right !== undefined ? left === right : a === b;
}

function isUnique(value: unknown): boolean {
  if (!isReflectList(value)) return false;
  const keys = [...value].map((item) => (item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item));
  return new Set(keys).size === keys.length;
}

/** A rule's operand as a person would write it. */
function shown(operand: unknown): string {
  if (isReflectMessage(operand)) return `${Number(ordered(operand)) / 1e9}s`;
  if (operand instanceof Uint8Array) return `0x${Buffer.from(operand).toString('hex')}`;
  if (Array.isArray(operand)) return `[${operand.map(shown).join(', ')}]`;
  return typeof operand === 'string' ? JSON.stringify(operand) : String(operand);
}
