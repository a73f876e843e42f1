import {
  type DescExtension,
  type DescField,
  type DescMessage,
  type DescOneof,
  fromBinary,
  getExtension,
  hasExtension,
  isMessage,
  type Message,
  type Registry,
} from '@bufbuild/protobuf';
import {
  isReflectList,
  isReflectMap,
  isReflectMessage,
  type ReflectMessage,
  reflect,
} from '@bufbuild/protobuf/reflect';
import { FeatureSet_FieldPresence, isWrapperDesc } from '@bufbuild/protobuf/wkt';
import type { FieldError } from '#domain/errors.ts';
import { type Check, checksOf, type Rules, rule, type Violation } from './proto-rule-checks.ts';

/**
 * Checks a message against the protoc-gen-validate rules of its type (`validate.rules`, `validate.required`), with
 * everything inside of it: sub-messages, lists, maps, wrappers, and the content of each Any (Envoy checks a
 * `typed_config` by the rules of its own type as well). An Any of a type that the registry lacks is a violation.
 *
 * Answers every violation, none when the message is right. Pointers (RFC 6901) lead through the protobuf JSON of the
 * message in the original field names; the content of an Any stands in its place, as JSON has it.
 * @throws Error when a rule is not supported or the registry lacks the type: faults of the caller's descriptors
 */
export function validateRules(registry: Registry, message: Message): FieldError[] {
  let walker = walkers.get(registry);
  if (walker === undefined) {
    walker = new RuleWalker(registry);
    walkers.set(registry, walker);
  }
  return walker.validate(message);
}

/** Rules are compiled once per message type and live as long as their registry. */
const walkers = new WeakMap<Registry, RuleWalker>();

type Report = (pointer: string, violation: Violation) => void;

/** What to do with one value of a field, of a list or of a map. */
interface ValueRules {
  readonly required: boolean;
  readonly skipped: boolean;
  readonly ignoreEmpty: boolean;
  readonly checks: readonly Check[];
  /** What the checks look at: the value itself, the content of a wrapper (UInt32Value), the type of an Any. */
  readonly subject: 'itself' | 'value' | 'type_url';
}

interface FieldPlan {
  readonly field: DescField;
  readonly own: ValueRules;
  readonly items: ValueRules;
  readonly keys: ValueRules;
}

interface MessagePlan {
  readonly requiredOneofs: readonly DescOneof[];
  readonly fields: readonly FieldPlan[];
}

const NO_RULES: ValueRules = { required: false, skipped: false, ignoreEmpty: false, checks: [], subject: 'itself' };
const EMPTY_PLAN: MessagePlan = { requiredOneofs: [], fields: [] };

class RuleWalker {
  readonly #registry: Registry;
  readonly #plans = new WeakMap<DescMessage, MessagePlan>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  validate(message: Message): FieldError[] {
    const type = this.#registry.getMessage(message.$typeName);
    if (type === undefined) throw new Error(`${message.$typeName} is not in the type registry`);
    const errors: FieldError[] = [];
    this.#walk(reflect(type, message), '', (pointer, violation) => errors.push({ pointer, ...violation }));
    return errors;
  }

  #walk(message: ReflectMessage, pointer: string, report: Report): void {
    if (message.desc.typeName === 'google.protobuf.Any') {
      this.#walkAny(message, pointer, report);
      return;
    }
    const plan = this.#planOf(message.desc);
    for (const oneof of plan.requiredOneofs) {
      if (message.oneofCase(oneof) === undefined)
        report(pointer, {
          code: 'oneof.required',
          detail: `one of ${oneof.fields.map((field) => field.name).join(', ')} is required`,
        });
    }
    for (const fieldPlan of plan.fields)
      this.#walkField(message, fieldPlan, `${pointer}/${escaped(fieldPlan.field.name)}`, report);
  }

  #walkAny(any: ReflectMessage, pointer: string, report: Report): void {
    const content = unpacked(any);
    if (content === undefined) return;
    const type = this.#registry.getMessage(content.typeName);
    if (type === undefined) {
      report(pointer, { code: 'any.unknown_type', detail: `${content.typeName} is not in the type registry` });
      return;
    }
    const inner = decoded(type, content.bytes);
    if (inner === undefined)
      report(pointer, { code: 'any.malformed', detail: `the content is not a ${content.typeName}` });
    else this.#walk(reflect(type, inner), pointer, report);
  }

  #walkField(message: ReflectMessage, plan: FieldPlan, pointer: string, report: Report): void {
    const { field, own } = plan;
    if (hasPresence(field) && !message.isSet(field)) {
      if (own.required && field.oneof === undefined) report(pointer, { code: 'required', detail: 'is required' });
      return;
    }
    const value: unknown = message.get(field);
    this.#checkValue(value, own, pointer, report);
    if (isReflectList(value)) {
      for (const [index, item] of value.entries()) this.#checkValue(item, plan.items, `${pointer}/${index}`, report);
    } else if (isReflectMap(value)) {
      for (const [key, item] of value) {
        const entry = `${pointer}/${escaped(String(key))}`;
        this.#checkValue(key, plan.keys, entry, report);
        this.#checkValue(item, plan.items, entry, report);
      }
    }
  }

  #checkValue(value: unknown, rules: ValueRules, pointer: string, report: Report): void {
    const subject = rules.subject !== 'itself' && isReflectMessage(value) ? member(value, rules.subject) : value;
    if (!(rules.ignoreEmpty && isEmpty(subject))) {
      for (const check of rules.checks) {
        const violation = check(subject);
        if (violation !== undefined) report(pointer, violation);
      }
    }
    if (isReflectMessage(value) && !rules.skipped) this.#walk(value, pointer, report);
  }

  #planOf(type: DescMessage): MessagePlan {
    const known = this.#plans.get(type);
    if (known !== undefined) return known;
    // The well-known types carry no rules, and a Struct can be large.
    const wellKnown = type.typeName.startsWith('google.protobuf.');
    const exempt =
      wellKnown || this.#option(type, 'validate.disabled') === true || this.#option(type, 'validate.ignored') === true;
    const plan: MessagePlan = exempt
      ? EMPTY_PLAN
      : {
          requiredOneofs: type.oneofs.filter((oneof) => this.#option(oneof, 'validate.required') === true),
          fields: type.fields.map((field) => this.#planField(field)).filter((field) => matters(field)),
        };
    this.#plans.set(type, plan);
    return plan;
  }

  #planField(field: DescField): FieldPlan {
    const option = this.#option(field, 'validate.rules');
    const extension = this.#extension('validate.rules');
    if (!isMessage(option) || extension?.message === undefined)
      return { field, own: NO_RULES, items: NO_RULES, keys: NO_RULES };
    const fieldRules = reflect(extension.message, option);
    const nested = (name: string): ValueRules => {
      const container = rulesOf(fieldRules);
      const inner = container === undefined ? undefined : rule(container, name);
      return isReflectMessage(inner) ? valueRules(inner, field) : NO_RULES;
    };
    if (field.fieldKind === 'list')
      return { field, own: valueRules(fieldRules, field), items: nested('items'), keys: NO_RULES };
    if (field.fieldKind === 'map')
      return { field, own: valueRules(fieldRules, field), items: nested('values'), keys: nested('keys') };
    return { field, own: valueRules(fieldRules, field), items: NO_RULES, keys: NO_RULES };
  }

  #option(desc: DescMessage | DescField | DescOneof, name: string): unknown {
    const extension = this.#extension(name);
    const options = desc.proto.options;
    if (extension === undefined || options === undefined || extension.extendee.typeName !== options.$typeName)
      return undefined;
    return hasExtension(options, extension) ? getExtension(options, extension) : undefined;
  }

  #extension(name: string): DescExtension | undefined {
    return this.#registry.getExtension(name);
  }
}

/** Fields without rules and without anything inside need no visit. */
function matters(plan: FieldPlan): boolean {
  const bare = [plan.own, plan.items, plan.keys].every((rules) => rules === NO_RULES);
  return !bare || plan.field.message !== undefined;
}

function valueRules(fieldRules: ReflectMessage, field: DescField): ValueRules {
  const about = rulesOf(fieldRules);
  const general = rule({ kind: 'field', message: fieldRules }, 'message');
  const messageRules: Rules | undefined = isReflectMessage(general) ? { kind: 'message', message: general } : undefined;
  const flag = (name: string): boolean =>
    [about, messageRules].some((rules) => rules !== undefined && rule(rules, name) === true);
  return {
    required: flag('required'),
    // One field of the API (ExtensionConfigSource.config_source) has rules for an Any on another message; there
    // protoc-gen-validate, and so Envoy, looks no further.
    skipped: flag('skip') || (about?.kind === 'any' && field.message?.typeName !== 'google.protobuf.Any'),
    ignoreEmpty: flag('ignore_empty'),
    checks: about === undefined ? [] : checksOf(about, field.enum),
    subject: subjectOf(about, field),
  };
}

/** The rules in the oneof `type` of a FieldRules, named after their kind. */
function rulesOf(fieldRules: ReflectMessage): Rules | undefined {
  const oneof = fieldRules.oneofs.find((candidate) => candidate.name === 'type');
  const chosen = oneof === undefined ? undefined : fieldRules.oneofCase(oneof);
  const value: unknown = chosen === undefined ? undefined : fieldRules.get(chosen);
  return chosen !== undefined && isReflectMessage(value) ? { kind: chosen.name, message: value } : undefined;
}

function subjectOf(rules: Rules | undefined, field: DescField): ValueRules['subject'] {
  if (rules?.kind === 'any') return 'type_url';
  return field.message !== undefined && isWrapperDesc(field.message) ? 'value' : 'itself';
}

const hasPresence = (field: DescField): boolean =>
  field.fieldKind !== 'list' && field.fieldKind !== 'map' && field.presence !== FeatureSet_FieldPresence.IMPLICIT;

/** A field of a message by name; undefined when there is none. */
function member(message: ReflectMessage, name: string): unknown {
  const field = message.desc.fields.find((candidate) => candidate.name === name);
  return field === undefined ? undefined : message.get(field);
}

/** Zero, false, empty: what proto3 does not send. */
function isEmpty(value: unknown): boolean {
  if (isReflectList(value) || isReflectMap(value)) return value.size === 0;
  if (value instanceof Uint8Array) return value.length === 0;
  return value === undefined || value === '' || value === 0 || value === 0n || value === false;
}

/** Type and bytes of an Any; undefined when it holds nothing. */
function unpacked(any: ReflectMessage): { readonly typeName: string; readonly bytes: Uint8Array } | undefined {
  const [typeUrl, bytes] = [member(any, 'type_url'), member(any, 'value')];
  if (typeof typeUrl !== 'string' || typeUrl === '' || !(bytes instanceof Uint8Array)) return undefined;
  return { typeName: typeUrl.slice(typeUrl.lastIndexOf('/') + 1), bytes };
}

function decoded(type: DescMessage, bytes: Uint8Array): Message | undefined {
  try {
    return fromBinary(type, bytes);
  } catch {
    return undefined;
  }
}

/** A reference token of a JSON pointer (RFC 6901 section 3). */
const escaped = (token: string): string => token.replaceAll('~', '~0').replaceAll('/', '~1');
