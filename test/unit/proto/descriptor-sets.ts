import { readFileSync } from 'node:fs';
import { type FileRegistry, fromJson, type JsonObject, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { loadRegistry } from '#platform/proto-registry.ts';

/** The repository's descriptor sets, as they are committed. */
export const PROTO_FOLDER = new URL('../../../proto/', import.meta.url);
export const readSet = (name: string): Uint8Array => readFileSync(new URL(name, PROTO_FOLDER));

/** A registry that also holds a made-up proto3 message `test.Sample` with these fields (FieldDescriptorProto JSON). */
export function withSample(registry: FileRegistry, fields: readonly JsonObject[], more: JsonObject = {}): FileRegistry {
  const file: JsonValue = {
    name: 'test/sample.proto',
    package: 'test',
    syntax: 'proto3',
    dependency: [
      'validate/validate.proto',
      'google/protobuf/any.proto',
      'google/protobuf/duration.proto',
      'google/protobuf/timestamp.proto',
      'google/protobuf/wrappers.proto',
    ],
    messageType: [
      {
        name: 'Sample',
        field: fields.map((field, index) => ({ number: index + 1, label: 'LABEL_OPTIONAL', ...field })),
        ...more,
      },
    ],
  };
  const set = fromJson(FileDescriptorSetSchema, { file: [file] }, { registry });
  return loadRegistry([readSet('envoy-api.binpb'), toBinary(FileDescriptorSetSchema, set)]);
}
