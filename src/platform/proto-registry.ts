import {
  createFileRegistry,
  type DescMessage,
  equals,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

/**
 * Makes one registry of serialized FileDescriptorSets (`proto/*.binpb`). The Envoy API takes about 0.1 s: do it once,
 * at start. A file that several sets contain must say the same in each.
 * @throws Error when two sets disagree about a file, or an import is missing
 */
export function loadRegistry(sets: readonly Uint8Array[]): FileRegistry {
  const files = new Map<string, FileDescriptorProto>();
  for (const file of sets.flatMap((bytes) => fromBinary(FileDescriptorSetSchema, bytes).file)) {
    const known = files.get(file.name);
    if (known !== undefined && !equals(FileDescriptorProtoSchema, known, file))
      throw new Error(`the descriptor sets hold two different files ${file.name}`);
    files.set(file.name, file);
  }
  return createFileRegistry({ $typeName: 'google.protobuf.FileDescriptorSet', file: [...files.values()] });
}

/** @throws Error when the registry does not hold the message type: a name in our own source is wrong */
export function messageType(registry: FileRegistry, typeName: string): DescMessage {
  const type = registry.getMessage(typeName);
  if (type === undefined) throw new Error(`${typeName} is not in the type registry`);
  return type;
}

/**
 * Reads protobuf JSON strictly: an unknown field, an unknown enum name or an `@type` that the registry does not hold is
 * an error. Keys are put in order first, because map entries are encoded in insertion order, also inside of an Any:
 * equal documents become equal bytes on every replica, which resource versions (content hashes) rely on.
 * @throws Error naming the type and the member
 */
export function messageFromJson(registry: FileRegistry, typeName: string, json: JsonValue): Message {
  return fromJson(messageType(registry, typeName), inKeyOrder(json), { registry, ignoreUnknownFields: false });
}

/** The bytes of a protobuf JSON document: strict and deterministic, see {@link messageFromJson}. */
export function encodeJson(registry: FileRegistry, typeName: string, json: JsonValue): Uint8Array {
  return toBinary(messageType(registry, typeName), messageFromJson(registry, typeName, json));
}

/**
 * The protobuf JSON of a message in the original field names, as Envoy's documentation and our API write them.
 * @throws Error when the bytes are not of that type, or an Any inside holds a type that the registry lacks
 */
export function decodeToJson(registry: FileRegistry, typeName: string, bytes: Uint8Array): JsonValue {
  const type = messageType(registry, typeName);
  return toJson(type, fromBinary(type, bytes), { registry, useProtoFieldName: true });
}

/** The same document with the members of every object in the order of their names. */
function inKeyOrder(json: JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map(inKeyOrder);
  if (json === null || typeof json !== 'object') return json;
  const members = Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, value]) => [name, inKeyOrder(value)]));
}
