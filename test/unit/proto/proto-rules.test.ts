import type { FileRegistry, JsonObject, JsonValue } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadRegistry, messageFromJson } from '#platform/proto-registry.ts';
import { validateRules } from '#platform/proto-rules.ts';
import { readSet, withSample } from './descriptor-sets.ts';

const registry = loadRegistry([readSet('envoy-api.binpb'), readSet('command-service.binpb')]);
const violations = (typeName: string, json: JsonValue): string[] =>
  validateRules(registry, messageFromJson(registry, typeName, json)).map(({ pointer, code }) => `${pointer} ${code}`);

const COMMAND = 'aggregate.gateway.v1.SubmitCommandRequest';
const good = { aggregate_type: 'order', aggregate_id: 'o-1', command_id: 'c1', command_type: 'order.place' };

describe('the command service', () => {
  it('takes a right command, with and without the optional fields', () => {
    expect(violations(COMMAND, good)).toEqual([]);
    expect(violations(COMMAND, { ...good, expected_version: '0', payload: { a: [1, null, { b: '' }] } })).toEqual([]);
  });

  it('reports every mistake at once', () => {
    expect(violations(COMMAND, { aggregate_id: 'a/b', command_id: 'x'.repeat(129), expected_version: '-1' })).toEqual([
      '/aggregate_type string.pattern',
      '/aggregate_id string.pattern',
      '/command_id string.pattern',
      '/command_type string.pattern',
      '/expected_version int64.gte',
    ]);
  });
});

/** [what, type, JSON, violations]: rules of the Envoy API, each in the place where Envoy itself checks it. */
const ENVOY_VIOLATIONS: readonly (readonly [string, string, JsonObject, readonly string[]])[] = [
  ['a name is missing', 'envoy.config.cluster.v3.Cluster', {}, ['/name string.min_len']],
  [
    'durations and wrappers out of their range',
    'envoy.config.cluster.v3.Cluster',
    { name: 'c', connect_timeout: '0s', per_connection_buffer_limit_bytes: 0, health_checks: [{ timeout: '-1s' }] },
    [
      '/connect_timeout duration.gt',
      '/health_checks/0 oneof.required',
      '/health_checks/0/timeout duration.gt',
      '/health_checks/0/interval required',
      '/health_checks/0/unhealthy_threshold required',
      '/health_checks/0/healthy_threshold required',
    ],
  ],
  [
    'a virtual host without domains, a route without match and action',
    'envoy.config.route.v3.RouteConfiguration',
    { virtual_hosts: [{ name: 'a', routes: [{}] }] },
    [
      '/virtual_hosts/0/domains repeated.min_items',
      '/virtual_hosts/0/routes/0 oneof.required',
      '/virtual_hosts/0/routes/0/match required',
    ],
  ],
  [
    'header names and values',
    'envoy.config.route.v3.RouteConfiguration',
    {
      internal_only_headers: ['x-good', 'x\nbad'],
      request_headers_to_add: [{ header: { key: 'a\r', value: 'b\0' } }, {}],
    },
    [
      '/internal_only_headers/1 string.well_known_regex',
      '/request_headers_to_add/0/header/key string.well_known_regex',
      '/request_headers_to_add/0/header/value string.well_known_regex',
      '/request_headers_to_add/1/header required',
    ],
  ],
  [
    'an enum number that nobody defined',
    'envoy.config.cluster.v3.Cluster',
    { name: 'c', lb_policy: 99 },
    ['/lb_policy enum.defined_only'],
  ],
  [
    'the content of an Any, under the place it has in JSON, with escaped keys',
    'envoy.config.route.v3.RouteConfiguration',
    {
      typed_per_filter_config: {
        'a/b~c': {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
        },
      },
    },
    ['/typed_per_filter_config/a~1b~0c/stat_prefix string.min_len'],
  ],
  [
    'the number of map entries',
    'xds.type.matcher.v3.Matcher',
    { matcher_tree: { input: { name: 'i', typed_config: {} }, exact_match_map: {} } },
    ['/matcher_tree/exact_match_map/map map.min_pairs'],
  ],
];

describe('the Envoy API', () => {
  it.each(ENVOY_VIOLATIONS)('%s', (_what, typeName, json, expected) => {
    expect(violations(typeName, json)).toEqual(expected);
  });

  it('an Any of an unknown type or with broken content is a violation', () => {
    const config = messageFromJson(registry, 'envoy.config.core.v3.TypedExtensionConfig', {
      name: 'x',
      typed_config: {},
    });
    const withAny = (type_url: string, bytes: readonly number[]) =>
      Object.assign(structuredClone(config), {
        typedConfig: { $typeName: 'google.protobuf.Any', typeUrl: type_url, value: Uint8Array.from(bytes) },
      });
    const codes = (message: typeof config) => validateRules(registry, message).map(({ code }) => code);
    expect(codes(withAny('type.googleapis.com/test.Unheard', []))).toEqual(['any.unknown_type']);
    expect(codes(withAny('type.googleapis.com/envoy.config.cluster.v3.Cluster', [255]))).toEqual(['any.malformed']);
  });

  it('all rules of the API are supported: every type can be walked', () => {
    let walked = 0;
    for (const type of registry) {
      if (type.kind !== 'message' || type.typeName.startsWith('google.protobuf.')) continue;
      expect(() => violations(type.typeName, {})).not.toThrow();
      walked += 1;
    }
    expect(walked).toBeGreaterThan(900);
  });
});

/** A field of the made-up message with one set of rules. */
const fieldWith = (type: string, rules: JsonObject, more: JsonObject = {}): JsonObject => ({
  name: 'it',
  jsonName: 'it',
  type,
  ...more,
  options: { '[validate.rules]': rules },
});

const ruled = (sample: FileRegistry, value: JsonValue): string[] =>
  validateRules(sample, messageFromJson(sample, 'test.Sample', { it: value })).map(({ code }) => code);

const wrapper = (name: string): JsonObject => ({ typeName: `.google.protobuf.${name}` });

/** [rules, type, accepted values, refused values, code]: the rules that the Envoy API does not use, or seldom. */
const RULES: readonly (readonly [JsonObject, string, JsonValue[], JsonValue[], string, JsonObject?])[] = [
  [{ string: { const: 'a' } }, 'TYPE_STRING', ['a'], ['', 'b'], 'string.const'],
  [{ string: { len: '2' } }, 'TYPE_STRING', ['ab', '🎈🎈'], ['a', 'abc'], 'string.len'],
  [{ string: { maxLen: '2' } }, 'TYPE_STRING', ['', '🎈🎈'], ['abc'], 'string.max_len'],
  [{ string: { minBytes: '2' } }, 'TYPE_STRING', ['é', 'ab'], ['a'], 'string.min_bytes'],
  [{ string: { maxBytes: '3' } }, 'TYPE_STRING', ['abc', 'é'], ['éé'], 'string.max_bytes'],
  [{ string: { lenBytes: '2' } }, 'TYPE_STRING', ['é'], ['e'], 'string.len_bytes'],
  [{ string: { prefix: 'a/' } }, 'TYPE_STRING', ['a/b'], ['b'], 'string.prefix'],
  [{ string: { suffix: '.x' } }, 'TYPE_STRING', ['a.x'], ['x'], 'string.suffix'],
  [{ string: { contains: '-' } }, 'TYPE_STRING', ['a-b'], ['ab'], 'string.contains'],
  [{ string: { notContains: '-' } }, 'TYPE_STRING', ['ab'], ['a-b'], 'string.not_contains'],
  [{ string: { in: ['a', 'b'] } }, 'TYPE_STRING', ['a'], ['c', ''], 'string.in'],
  [{ string: { notIn: ['a'] } }, 'TYPE_STRING', ['', 'b'], ['a'], 'string.not_in'],
  [{ string: { minLen: '3', ignoreEmpty: true } }, 'TYPE_STRING', ['', 'abc'], ['a'], 'string.min_len'],
  [
    { string: { email: true } },
    'TYPE_STRING',
    ['a@b.c', 'a+b@x-y.z'],
    ['a', '@b', 'a@', 'a..b@c', 'a@-b'],
    'string.email',
  ],
  [
    { string: { hostname: true } },
    'TYPE_STRING',
    ['a', 'a-b.c.'],
    ['', '-a', 'a_b', 'x'.repeat(64)],
    'string.hostname',
  ],
  [{ string: { ip: true } }, 'TYPE_STRING', ['10.0.0.1', '::1'], ['10.0.0', '[::1]'], 'string.ip'],
  [{ string: { ipv4: true } }, 'TYPE_STRING', ['10.0.0.1'], ['::1'], 'string.ipv4'],
  [{ string: { ipv6: true } }, 'TYPE_STRING', ['::1'], ['10.0.0.1'], 'string.ipv6'],
  [{ string: { uri: true } }, 'TYPE_STRING', ['https://a/b?c#d'], ['/a', 'http://a b', '%zz:'], 'string.uri'],
  [{ string: { uriRef: true } }, 'TYPE_STRING', ['/a%20b', ''], ['a b', '%z'], 'string.uri_ref'],
  [{ string: { address: true } }, 'TYPE_STRING', ['a.b', '::1'], ['a b'], 'string.address'],
  [{ string: { uuid: true } }, 'TYPE_STRING', ['0123abcd-0123-0123-0123-0123456789ab'], ['0123abcd'], 'string.uuid'],
  [
    { string: { wellKnownRegex: 'HTTP_HEADER_NAME' } },
    'TYPE_STRING',
    [':path', 'x-a'],
    ['', 'a b', 'a:'],
    'string.well_known_regex',
  ],
  [
    { string: { wellKnownRegex: 'HTTP_HEADER_VALUE' } },
    'TYPE_STRING',
    ['', 'a\tb é'],
    ['a\n', '\u007f'],
    'string.well_known_regex',
  ],
  [{ bytes: { len: '2' } }, 'TYPE_BYTES', ['AAA='], ['AA=='], 'bytes.len'],
  [{ bytes: { prefix: 'AQ==' } }, 'TYPE_BYTES', ['AQI='], ['AgE=', ''], 'bytes.prefix'],
  [{ bytes: { suffix: 'AQ==' } }, 'TYPE_BYTES', ['AgE='], ['AQI=', ''], 'bytes.suffix'],
  [{ bytes: { contains: 'AQ==' } }, 'TYPE_BYTES', ['AgEC'], ['AgI='], 'bytes.contains'],
  [{ bytes: { const: 'AQ==' } }, 'TYPE_BYTES', ['AQ=='], ['Ag=='], 'bytes.const'],
  [{ bytes: { ipv4: true } }, 'TYPE_BYTES', ['fwAAAQ=='], ['fw=='], 'bytes.ipv4'],
  [{ bytes: { pattern: '^a+$' } }, 'TYPE_BYTES', ['YWE='], ['Yg=='], 'bytes.pattern'],
  [{ bool: { const: true } }, 'TYPE_BOOL', [true], [false], 'bool.const'],
  [{ int32: { in: [1, 2] } }, 'TYPE_INT32', [1], [0, 3], 'int32.in'],
  [{ sint64: { gt: '-5', lt: '5' } }, 'TYPE_SINT64', ['-4', '4'], ['5', '6'], 'sint64.lt'],
  [{ double: { gte: 1, lte: 2 } }, 'TYPE_DOUBLE', [1, 2], [0.5], 'double.gte'],
  [{ uint32: { gte: 20, lt: 10 } }, 'TYPE_UINT32', [20, 9, 0], [10, 19], 'uint32.gte'],
  [{ duration: { required: true } }, 'TYPE_MESSAGE', ['0s'], [null], 'required', wrapper('Duration')],
  [
    { duration: { gte: '1s', lt: '2s' } },
    'TYPE_MESSAGE',
    [null, '1s', '1.999s'],
    ['2s'],
    'duration.lt',
    wrapper('Duration'),
  ],
  [{ duration: { in: ['1s', '3s'] } }, 'TYPE_MESSAGE', ['3s'], ['2s'], 'duration.in', wrapper('Duration')],
  [
    { timestamp: { gte: '2026-01-01T00:00:00Z' } },
    'TYPE_MESSAGE',
    ['2026-01-01T00:00:00Z'],
    ['2025-12-31T23:59:59.999Z'],
    'timestamp.gte',
    wrapper('Timestamp'),
  ],
  [{ string: { minLen: '1' } }, 'TYPE_MESSAGE', [null, 'a'], [''], 'string.min_len', wrapper('StringValue')],
  [
    { uint32: { lte: 9 }, message: { required: true } },
    'TYPE_MESSAGE',
    [9],
    [10],
    'uint32.lte',
    wrapper('UInt32Value'),
  ],
  [{ any: { required: true } }, 'TYPE_MESSAGE', [{}], [null], 'required', wrapper('Any')],
  [
    { any: { in: ['type.googleapis.com/google.protobuf.Duration'] } },
    'TYPE_MESSAGE',
    [{ '@type': 'type.googleapis.com/google.protobuf.Duration', value: '1s' }],
    [{ '@type': 'type.googleapis.com/google.protobuf.BoolValue', value: true }],
    'any.in',
    wrapper('Any'),
  ],
  [
    { repeated: { unique: true } },
    'TYPE_STRING',
    [[], ['a', 'b']],
    [['a', 'a']],
    'repeated.unique',
    { label: 'LABEL_REPEATED' },
  ],
  [
    { repeated: { maxItems: '1' } },
    'TYPE_STRING',
    [['a']],
    [['a', 'b']],
    'repeated.max_items',
    { label: 'LABEL_REPEATED' },
  ],
  [
    { repeated: { minItems: '2', ignoreEmpty: true } },
    'TYPE_STRING',
    [[], ['a', 'b']],
    [['a']],
    'repeated.min_items',
    { label: 'LABEL_REPEATED' },
  ],
  [
    { repeated: { items: { string: { minLen: '1' } } } },
    'TYPE_STRING',
    [['a']],
    [['']],
    'string.min_len',
    { label: 'LABEL_REPEATED' },
  ],
];

describe('each rule', () => {
  for (const [rules, type, accepted, refused, code, more = {}] of RULES) {
    it(`${JSON.stringify(rules)} on a ${type}`, () => {
      const sample = withSample(registry, [fieldWith(type, rules, more)]);
      for (const value of accepted) expect(ruled(sample, value), `accepts ${JSON.stringify(value)}`).toEqual([]);
      for (const value of refused) expect(ruled(sample, value), `refuses ${JSON.stringify(value)}`).toEqual([code]);
    });
  }

  it('an optional field or a member of a oneof is checked only when it is there', () => {
    const rules = fieldWith('TYPE_STRING', { string: { minLen: '1' } }, { proto3Optional: true, oneofIndex: 0 });
    const sample = withSample(registry, [rules], { oneofDecl: [{ name: '_it' }] });
    expect(validateRules(sample, messageFromJson(sample, 'test.Sample', {}))).toEqual([]);
    expect(ruled(sample, '')).toEqual(['string.min_len']);
  });

  it('a message with validate.disabled or a field with skip is left alone', () => {
    const bad = fieldWith('TYPE_STRING', { string: { minLen: '1' } });
    const disabled = withSample(registry, [bad], { options: { '[validate.disabled]': true } });
    expect(ruled(disabled, '')).toEqual([]);
    const nested = { typeName: '.validate.FieldRules' };
    expect(ruled(withSample(registry, [fieldWith('TYPE_MESSAGE', { message: { skip: true } }, nested)]), {})).toEqual(
      [],
    );
  });

  it('not a number is within no bounds', () => {
    const sample = withSample(registry, [fieldWith('TYPE_DOUBLE', { double: { gte: 1, lte: 2 } })]);
    expect(ruled(sample, 'NaN')).toEqual(['double.gte', 'double.lte']);
  });

  it('a rule that is not supported is an error, not silence', () => {
    const sample = withSample(registry, [
      fieldWith('TYPE_MESSAGE', { timestamp: { ltNow: true } }, wrapper('Timestamp')),
    ]);
    expect(() => ruled(sample, '2026-01-01T00:00:00Z')).toThrow('timestamp.lt_now is not supported');
  });
});

describe('properties', () => {
  it('lengths are counted in code points', () => {
    const sample = withSample(registry, [fieldWith('TYPE_STRING', { string: { minLen: '2', maxLen: '4' } })]);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 8 }), (text) => {
        const count = Array.from(text).length;
        const expected = count < 2 ? ['string.min_len'] : count > 4 ? ['string.max_len'] : [];
        expect(ruled(sample, text)).toEqual(expected);
      }),
    );
  });

  it('numeric bounds hold for every combination, also turned around (outside of the two)', () => {
    const bounds = fc.record({
      lower: fc.constantFrom('gt', 'gte'),
      upper: fc.constantFrom('lt', 'lte'),
      from: fc.integer({ min: -3, max: 3 }),
      to: fc.integer({ min: -3, max: 3 }),
    });
    fc.assert(
      fc.property(bounds, ({ lower, upper, from, to }) => {
        const sample = withSample(registry, [fieldWith('TYPE_INT32', { int32: { [lower]: from, [upper]: to } })]);
        for (let value = -4; value <= 4; value += 1) {
          const above = lower === 'gt' ? value > from : value >= from;
          const below = upper === 'lt' ? value < to : value <= to;
          const holds = to < from ? above || below : above && below;
          expect(ruled(sample, value).length === 0, `${lower} ${from} ${upper} ${to}: ${value}`).toBe(holds);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('one mistake in one of many list items is found at its place, whatever the place', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 20 }), (valid) => {
        const json = { domains: ['*'], name: 'a', request_headers_to_remove: valid.map((ok) => (ok ? 'x-a' : 'x\n')) };
        const expected = valid.flatMap((ok, index) =>
          ok ? [] : [`/request_headers_to_remove/${index} string.well_known_regex`],
        );
        expect(violations('envoy.config.route.v3.VirtualHost', json)).toEqual(expected);
      }),
    );
  });
});
