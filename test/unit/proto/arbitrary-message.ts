import { type DescField, type DescMessage, type JsonObject, type JsonValue, ScalarType } from '@bufbuild/protobuf';
import { isWrapperDesc } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';

/** Deeper messages are left out: rules are per level, and trees of the Envoy API have no end. */
const DEPTH_MAX = 3;
/** Fields of one message that are set at most. */
const FIELDS_MAX_COUNT = 6;

const TEXTS = ['', 'a', 'x-a', ':path', 'a b', 'a\n', '\0', 'é🎈', '/a?b#', '/a/', 'a.b', 'x'.repeat(1_100), 'GET'];
const NATURALS = [0, 1, 2, 3, 5, 10, 99, 100, 101, 127, 128, 599, 600, 65_535, 65_536, 2_147_483_647];
const DURATIONS = ['0s', '-1s', '0.000000001s', '0.000999999s', '0.001s', '1s', '60s', '3600s', '315576000s'];

/** Protobuf JSON of a message type, with values at and around the bounds that rules like to set. */
export function arbitraryMessage(type: DescMessage, depth = 0): fc.Arbitrary<JsonObject> {
  const usable = type.fields.filter((field) => depth < DEPTH_MAX || field.message === undefined);
  if (usable.length === 0) return fc.constant({});
  return fc
    .uniqueArray(fc.constantFrom(...usable), { maxLength: FIELDS_MAX_COUNT, selector: memberOf })
    .chain((fields) =>
      fc.tuple(...fields.map((field) => fieldValue(field, depth))).map((values) => {
        const members = fields.map((field, index) => [field.name, values[index] ?? null]);
        return Object.fromEntries(members);
      }),
    );
}

/** Of a oneof JSON takes one member only. */
const memberOf = (field: DescField): string => field.oneof?.name ?? field.name;

function fieldValue(field: DescField, depth: number): fc.Arbitrary<JsonValue> {
  const one = singleValue(field, depth);
  if (field.fieldKind === 'list') return fc.array(one, { maxLength: 3 });
  if (field.fieldKind !== 'map') return one;
  const keys = field.mapKey === ScalarType.STRING ? fc.constantFrom('', 'a', 'b/~') : fc.constantFrom('1', '2');
  return fc.dictionary(keys, one, { maxKeys: 2 });
}

function singleValue(field: DescField, depth: number): fc.Arbitrary<JsonValue> {
  if (field.message !== undefined) return messageValue(field.message, depth);
  if (field.enum !== undefined)
    return fc.constantFrom(...field.enum.values.map(({ number }) => number), ...(field.enum.open ? [99] : []));
  return scalarValue(field.scalar ?? ScalarType.STRING);
}

function messageValue(type: DescMessage, depth: number): fc.Arbitrary<JsonValue> {
  if (isWrapperDesc(type)) return scalarValue(type.fields[0].scalar);
  switch (type.typeName) {
    case 'google.protobuf.Duration':
      return fc.constantFrom(...DURATIONS);
    case 'google.protobuf.Timestamp':
      return fc.constantFrom('1970-01-01T00:00:00Z', '2026-01-01T00:00:00.5Z');
    case 'google.protobuf.FieldMask':
      return fc.constant('a,b');
    case 'google.protobuf.Value':
    case 'google.protobuf.ListValue':
      return fc.constant([]);
    default:
      return type.typeName.startsWith('google.protobuf.') ? fc.constant({}) : arbitraryMessage(type, depth + 1);
  }
}

function scalarValue(scalar: ScalarType): fc.Arbitrary<JsonValue> {
  switch (scalar) {
    case ScalarType.STRING:
      return fc.constantFrom(...TEXTS);
    case ScalarType.BYTES:
      return fc.constantFrom('', 'AQ==', 'AQID');
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return fc.constantFrom(0, 0.5, 1, 1.5, 2, 100, 100.5, -1);
    case ScalarType.UINT32:
    case ScalarType.UINT64:
    case ScalarType.FIXED32:
    case ScalarType.FIXED64:
      return fc.constantFrom(...NATURALS);
    default:
      return fc.constantFrom(...NATURALS, -1, -2);
  }
}
