import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeToJson, loadRegistry } from '#platform/proto-registry.ts';
import { encodeDeltaResponse } from '../../../xds/ads/delta-response.ts';
import { createMessageEncoder } from '../../../xds/encode.ts';
import { edgeRoutes } from '../../../xds/resources.ts';
import { createRouteStamper } from '../../../xds/route-stamper.ts';
import { encodeResource, stampOfVersion, stampPrefix } from '../../../xds/snapshot/resource.ts';
import { TYPE_URL } from '../../../xds/snapshot/resource-types.ts';

const registry = loadRegistry(
  ['envoy-api.binpb', 'command-service.binpb'].map((file) =>
    readFileSync(new URL(`../../../proto/${file}`, import.meta.url)),
  ),
);
const encode = createMessageEncoder(registry);
const stamper = createRouteStamper({ translateRoutes: edgeRoutes, encode });

it('makes the same bytes as encoding each route configuration anew', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999_999 }), (stamp) => {
      const name = 'gateway';
      const message = encode('route', edgeRoutes(String(stamp)));
      expect(stamper(stamp)).toEqual(
        encodeResource({ type: 'route', name, message, versionPrefix: stampPrefix(stamp) }),
      );
    }),
    { numRuns: 30 },
  );
});

it('makes frames that are a DeltaDiscoveryResponse to everybody else', () => {
  const resource = stamper(42);
  const response = encodeDeltaResponse({
    typeUrl: TYPE_URL.route,
    nonce: '7',
    resources: [resource],
    removed: ['x', 'y'],
  });
  expect(decodeToJson(registry, 'envoy.service.discovery.v3.DeltaDiscoveryResponse', response)).toMatchObject({
    type_url: TYPE_URL.route,
    nonce: '7',
    removed_resources: ['x', 'y'],
    resources: [{ name: 'gateway', version: resource.version, resource: { '@type': TYPE_URL.route, name: 'gateway' } }],
  });
  expect(stampOfVersion(resource.version)).toBe(42);
});

it('refuses a route configuration in which the stamp cannot be told from the rest', () => {
  const withMark = (stamp: string) => ({ name: 'gateway', json: { name: `gateway~${stamp}` } });
  expect(() => createRouteStamper({ translateRoutes: withMark, encode })(1)).toThrow('cannot be told');
});
