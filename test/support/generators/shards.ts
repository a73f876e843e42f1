import fc from 'fast-check';
import type { ServiceKind } from '#domain/ids.ts';
import {
  BREAKER_NUMBERS,
  HEALTH_NUMBERS,
  type NumberSetting,
  OUTLIER_NUMBERS,
  SHARD_NUMBERS,
} from '#domain/routing/shard-settings.ts';

/** Generators of shards as a routing document writes them: every one is accepted, every member is used. */

/** Some of the numbers, their ends more often than others. */
const numbersOf = (settings: readonly NumberSetting<string>[]): fc.Arbitrary<Readonly<Record<string, unknown>>> =>
  fc.record(
    Object.fromEntries(
      settings.map(({ member, min, max }) => [member, fc.oneof(fc.constantFrom(min, max), fc.integer({ min, max }))]),
    ),
    { requiredKeys: [] },
  );

const withNumbers = (members: Record<string, fc.Arbitrary<unknown>>, settings: readonly NumberSetting<string>[]) =>
  fc.tuple(fc.record(members), numbersOf(settings)).map(([fixed, numbers]) => ({ ...fixed, ...numbers }));

const byPath = withNumbers({ path: fc.constantFrom('/', '/ready', '/"', '/ready?deep=1&x=%20') }, HEALTH_NUMBERS);
const service = fc.constantFrom('', 'a', 'aggregate.gateway.v1.CommandService');
const byGrpc = withNumbers(
  { grpc: fc.oneof(fc.constant(true), fc.constant({}), fc.record({ service })) },
  HEALTH_NUMBERS,
);

const NAMES = ['node', 'tasks.projection', 'a-b.example', 'my_service'];
const addresses = fc.oneof(
  fc.ipV4().filter((ip) => ip !== '0.0.0.0'),
  fc.constantFrom('::1', '2001:DB8::1', ...NAMES),
);

/** One to four endpoints of any form. */
const anyEndpoints = fc.uniqueArray(
  fc.record(
    { address: addresses, port: fc.integer({ min: 1, max: 65_535 }), weight: fc.integer({ min: 1, max: 1_000 }) },
    { requiredKeys: ['address', 'port'] },
  ),
  { minLength: 1, maxLength: 4, selector: ({ address, port }) => `${address} ${port}` },
);

/** Shards of a kind that a routing document may hold. */
export function shardsOf(kind: ServiceKind, endpoints: fc.Arbitrary<readonly unknown[]> = anyEndpoints) {
  const protocol = kind === 'aggregate' ? fc.constant('h2') : fc.constantFrom('h2', 'http1');
  return protocol.chain((spoken) =>
    fc
      .record(
        {
          endpoints,
          protocol: fc.constant(spoken),
          health: spoken === 'h2' ? fc.oneof(byPath, byGrpc) : byPath,
          outlier_detection: fc.oneof(fc.constant(false), numbersOf(OUTLIER_NUMBERS)),
          circuit_breakers: numbersOf(BREAKER_NUMBERS),
        },
        { requiredKeys: ['endpoints', 'protocol'] },
      )
      .chain((shard) => numbersOf(SHARD_NUMBERS).map((numbers): Record<string, unknown> => ({ ...shard, ...numbers }))),
  );
}

/** What the member `tls` of a shard may be, also left out. */
const anyTls = fc.oneof(
  fc.constantFrom(undefined, true),
  fc.record(
    {
      san: fc.constantFrom('spiffe://gateway/node/runner/s9', 'https://a.example/?x=1', 'Node.Example'),
      server_name: fc.constantFrom('node', 'Tasks.Projection'),
    },
    { requiredKeys: [] },
  ),
);

/** The same shards, with and without TLS. */
export const shardsWithTlsOf = (kind: ServiceKind) =>
  fc
    .tuple(shardsOf(kind), anyTls)
    .map(([shard, tls]): Record<string, unknown> => (tls === undefined ? shard : { ...shard, tls }));
