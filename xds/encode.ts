import { type FileRegistry, toBinary } from '@bufbuild/protobuf';
import { messageFromJson, messageType } from '#platform/proto-registry.ts';
import { validateRules } from '#platform/proto-rules.ts';
import type { NamedJson } from './control-plane.ts';
import { encodeResource, type Resource } from './snapshot/resource.ts';
import { type ResourceType, TYPE_URL } from './snapshot/resource-types.ts';

/** A resource Envoy would refuse: a bug in a translator, or an entry that the parser should not have let through. */
class InvalidResource extends Error {
  constructor(type: ResourceType, name: string, mistakes: readonly string[]) {
    super(`${type} ${name} is not valid: ${mistakes.join('; ')}`);
    this.name = 'InvalidResource';
  }
}

/** Turns Envoy's JSON into bytes. */
export type MessageEncoder = (type: ResourceType, resource: NamedJson) => Uint8Array;

/**
 * Strict (an unknown member is an error), checked against the rules in Envoy's own API (PGV), equal bytes for equal
 * content. The encoder throws InvalidResource, or the error of the JSON reader.
 */
export function createMessageEncoder(registry: FileRegistry): MessageEncoder {
  return (type, { name, json }) => {
    const typeName = TYPE_URL[type].slice(TYPE_URL[type].lastIndexOf('/') + 1);
    const message = messageFromJson(registry, typeName, json);
    const mistakes = validateRules(registry, message);
    if (mistakes.length > 0) {
      throw new InvalidResource(
        type,
        name,
        mistakes.map(({ pointer, detail }) => `${pointer} ${detail}`),
      );
    }
    return toBinary(messageType(registry, typeName), message);
  };
}

/** The same as ready frames. */
export function createEncoder(registry: FileRegistry) {
  const encode = createMessageEncoder(registry);
  return (type: ResourceType, resource: NamedJson): Resource =>
    encodeResource({ type, name: resource.name, message: encode(type, resource) });
}
