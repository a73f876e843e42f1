import { type FileRegistry, toBinary } from '@bufbuild/protobuf';
import { messageFromJson, messageType } from '#platform/proto-registry.ts';
import { validateRules } from '#platform/proto-rules.ts';
import type { NamedJson } from './control-plane.ts';
import { encodeResource, type Resource } from './snapshot/resource.ts';
import { type ResourceType, TYPE_URL } from './snapshot/resource-types.ts';

/** A resource Envoy would refuse: a bug in a translator, or an entry that the parser should not have let through. */
export class InvalidResource extends Error {
  constructor(type: ResourceType, name: string, mistakes: readonly string[]) {
    super(`${type} ${name} is not valid: ${mistakes.join('; ')}`);
    this.name = 'InvalidResource';
  }
}

/**
 * Turns Envoy's JSON into ready frames: strict (an unknown member is an error), checked against the rules in Envoy's
 * own API (PGV), with equal bytes for equal content.
 */
export function createEncoder(registry: FileRegistry) {
  return (type: ResourceType, { name, json }: NamedJson, versionPrefix = ''): Resource => {
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
    return encodeResource({ type, name, message: toBinary(messageType(registry, typeName), message), versionPrefix });
  };
}
