import { fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeToJson, encodeJson, loadRegistry, messageFromJson, messageType } from '#platform/proto-registry.ts';
import { validateRules } from '#platform/proto-rules.ts';
import { readSet } from './descriptor-sets.ts';
import { SAMPLE_RESOURCES } from './sample-resources.ts';

const registry = loadRegistry([readSet('envoy-api.binpb'), readSet('command-service.binpb')]);
const ROUTES = 'envoy.config.route.v3.RouteConfiguration';

describe('the committed descriptor sets', () => {
  it.each(SAMPLE_RESOURCES)('load a %s strictly, by the rules, and give it back', (typeName, json) => {
    expect(validateRules(registry, messageFromJson(registry, typeName, json))).toEqual([]);
    const bytes = encodeJson(registry, typeName, json);
    const back = decodeToJson(registry, typeName, bytes);
    expect(encodeJson(registry, typeName, back)).toEqual(bytes);
  });

  it('hold the command service and what Envoy and gRPC need beside it, in one set of its own', () => {
    const own = loadRegistry([readSet('command-service.binpb')]);
    const service = own.getService('aggregate.gateway.v1.CommandService');
    expect(service?.methods.map((method) => method.name)).toEqual(['SubmitCommand']);
    expect(own.getService('grpc.health.v1.Health')).toBeDefined();
    for (const name of ['google.rpc.Status', 'google.rpc.ErrorInfo', 'google.rpc.BadRequest', 'google.protobuf.Struct'])
      expect(own.getMessage(name), name).toBeDefined();
    const fields = (name: string) => messageType(own, `aggregate.gateway.v1.${name}`).fields.map((field) => field.name);
    expect(fields('SubmitCommandRequest')).toEqual([
      'aggregate_type',
      'aggregate_id',
      'command_id',
      'command_type',
      'payload',
      'expected_version',
    ]);
    expect(fields('SubmitCommandResponse')).toEqual(['command_id', 'version', 'events']);
    expect(fields('Event')).toEqual(['event_id', 'event_type', 'sequence', 'payload', 'recorded_at']);
  });
});

describe('loadRegistry', () => {
  it('refuses two sets that disagree about a file, and takes two that agree', () => {
    const set = (name: string) =>
      toBinary(
        FileDescriptorSetSchema,
        fromJson(FileDescriptorSetSchema, { file: [{ name: 'x.proto', package: name }] }),
      );
    expect(() => loadRegistry([set('a'), set('b')])).toThrow('two different files x.proto');
    expect(() => loadRegistry([set('a'), set('a')])).not.toThrow();
  });
});

describe('encodeJson', () => {
  it('refuses unknown members, enum names and types, naming them', () => {
    const attempt = (json: JsonValue) => () => encodeJson(registry, ROUTES, json);
    expect(attempt({ name: 'x', virtual_host: [] })).toThrow('"virtual_host" is unknown');
    expect(attempt({ virtual_hosts: [{ name: 'a', domains: ['*'], require_tls: 'SOMETIMES' }] })).toThrow('SOMETIMES');
    expect(attempt({ typed_per_filter_config: { a: { '@type': 'type.googleapis.com/test.Unheard' } } })).toThrow(
      'type.googleapis.com/test.Unheard is not in the type registry',
    );
    expect(() => encodeJson(registry, 'test.Unheard', {})).toThrow('test.Unheard is not in the type registry');
  });

  it('gives the same bytes for every order of members and map entries, inside of an Any too', () => {
    const permuted = fc.constantFrom(...SAMPLE_RESOURCES).chain(([typeName, json]) =>
      fc.tuple(
        fc.constant(typeName),
        fc.constant(json),
        fc.infiniteStream(fc.nat()).map((random) => shuffled(json, random)),
      ),
    );
    fc.assert(
      fc.property(permuted, ([typeName, json, other]) => {
        expect(encodeJson(registry, typeName, other)).toEqual(encodeJson(registry, typeName, json));
      }),
    );
  });

  it('keeps every entry of a map, whatever its key', () => {
    const type = 'envoy.service.auth.v3.AttributeContext';
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), (entries) => {
        const json = { context_extensions: entries };
        const expected = Object.keys(entries).length === 0 ? {} : json;
        expect(decodeToJson(registry, type, encodeJson(registry, type, json))).toEqual(expected);
      }),
    );
  });
});

/** The same document with the members of every object in another order. */
function shuffled(json: JsonValue, random: Iterator<number>): JsonValue {
  if (Array.isArray(json)) return json.map((item) => shuffled(item, random));
  if (json === null || typeof json !== 'object') return json;
  const ranked = Object.entries(json).map(([name, value]) => ({ name, value, rank: Number(random.next().value) }));
  ranked.sort((a, b) => a.rank - b.rank);
  return Object.fromEntries(ranked.map(({ name, value }) => [name, shuffled(value, random)]));
}
