import { readFileSync } from 'node:fs';
import type { JsonValue } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { SERVICE_KINDS } from '#domain/ids.ts';
import { loadRegistry, messageFromJson } from '#platform/proto-registry.ts';
import { validateRules } from '#platform/proto-rules.ts';
import { createMessageEncoder } from '../../../xds/encode.ts';
import { edgeListeners, edgeRoutes, edgeSecret, TRANSLATORS } from '../../../xds/resources.ts';
import { createRouteStamper } from '../../../xds/route-stamper.ts';
import { TYPE_URL } from '../../../xds/snapshot/resource-types.ts';
import { listeners } from '../../../xds/translate/listener.ts';
import { localReplyIds } from '../../../xds/translate/request-ids.ts';
import { routeConfiguration } from '../../../xds/translate/routes/route-config.ts';
import { snapshotOf } from '../../support/routing.ts';

/**
 * What Envoy is told, as readable files: a change of any of them shows in review as what it is. Each is also held
 * against the rules of Envoy's own API.
 */
const descriptors = readFileSync(new URL('../../../proto/command-service.binpb', import.meta.url));
const registry = loadRegistry([readFileSync(new URL('../../../proto/envoy-api.binpb', import.meta.url)), descriptors]);

const text = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
const violations = (type: keyof typeof TYPE_URL, json: JsonValue) =>
  validateRules(registry, messageFromJson(registry, TYPE_URL[type].split('/')[1] ?? '', json));

const place = (port: number) => ({ endpoints: [{ address: '10.0.0.5', port }] });
const DOCUMENTS: Readonly<Record<string, unknown>> = {
  minimal: {
    aggregate_placement: { acme: 's1' },
    projection_placement: { acme: 's1' },
    runner_placement: { acme: 's2' },
    aggregate_shards: { s1: place(9001) },
    projection_shards: { s1: place(9002) },
    runner_shards: { s2: place(9003) },
  },
  'names-and-addresses': {
    aggregate_placement: {},
    projection_placement: {},
    runner_placement: {},
    aggregate_shards: {
      v4: {
        endpoints: [
          { address: '10.0.0.5', port: 9001, weight: 3 },
          { address: '10.0.0.6', port: 9001 },
        ],
      },
      v6: { endpoints: [{ address: '2001:db8::1', port: 9001 }] },
      // One name among them: Envoy resolves them all.
      mixed: {
        endpoints: [
          { address: '10.0.0.7', port: 9001 },
          { address: 'aggregate.internal', port: 9001, weight: 2 },
        ],
      },
      empty: { endpoints: [] },
    },
    projection_shards: { named: { endpoints: [{ address: 'tasks.projection', port: 9002 }] } },
    runner_shards: {},
  },
  'health-and-protocols': {
    aggregate_placement: {},
    projection_placement: {},
    runner_placement: {},
    aggregate_shards: { checked: { ...place(9001), protocol: 'h2', health: { path: '/healthz' } } },
    projection_shards: { h2: { ...place(9002), protocol: 'h2' }, h1: { ...place(9003), protocol: 'http1' } },
    runner_shards: { checked: { ...place(9003), health: { path: '/ready?deep=1' } } },
  },
  tls: {
    aggregate_placement: {},
    projection_placement: {},
    runner_placement: {},
    aggregate_shards: { own: { ...place(9001), tls: true, health: { grpc: true } } },
    projection_shards: { other: { ...place(9002), tls: { san: 'spiffe://example.org/projection' } } },
    runner_shards: { named: { ...place(9003), tls: { server_name: 'runner.example.org' } } },
  },
  // Every member that a shard can have.
  everything: {
    aggregate_placement: { acme: 'all' },
    projection_placement: { acme: 'all' },
    runner_placement: { acme: 'all' },
    aggregate_shards: {
      all: {
        endpoints: [
          { address: '10.0.0.5', port: 9001, weight: 3 },
          { address: '10.0.0.6', port: 9011, weight: 1 },
        ],
        protocol: 'h2',
        health: {
          grpc: { service: 'aggregate.gateway.v1.CommandService' },
          interval_ms: 2_000,
          timeout_ms: 750,
          unhealthy_threshold: 3,
          healthy_threshold: 2,
        },
        outlier_detection: {
          consecutive_gateway_failures: 2,
          consecutive_5xx: 10,
          interval_ms: 500,
          base_ejection_ms: 60_000,
          max_ejection_percent: 34,
        },
        circuit_breakers: { max_connections: 8, max_pending_requests: 900, max_requests: 5_000, max_retries: 20 },
        slow_start_ms: 30_000,
        connect_timeout_ms: 250,
      },
      whole_server: { ...place(9001), health: { grpc: true } },
    },
    projection_shards: {
      all: {
        endpoints: [
          { address: '10.0.0.5', port: 9002 },
          { address: 'tasks.projection', port: 9012, weight: 2 },
        ],
        health: { path: '/ready', interval_ms: 250, timeout_ms: 100 },
        outlier_detection: { consecutive_5xx: 100 },
        circuit_breakers: { max_connections: 4_096 },
        slow_start_ms: 1_000,
        connect_timeout_ms: 10_000,
      },
    },
    runner_shards: { all: { ...place(9003), protocol: 'h2', health: { grpc: true }, outlier_detection: false } },
  },
};

describe.each(Object.entries(DOCUMENTS))('the routing document %s', (name, document) => {
  const { shards } = snapshotOf(document);
  const entries = SERVICE_KINDS.flatMap((kind) => [...shards[kind]].map(([shard, value]) => ({ kind, shard, value })));
  const clusters = entries.map(({ kind, shard, value }) => TRANSLATORS.translateCluster(kind, shard, value));
  const endpoints = entries.flatMap(
    ({ kind, shard, value }) => TRANSLATORS.translateEndpoints(kind, shard, value) ?? [],
  );

  it('becomes these clusters and endpoints', async () => {
    await expect(text(document)).toMatchFileSnapshot(`./${name}/routing.json`);
    await expect(text(clusters.map(({ json }) => json))).toMatchFileSnapshot(`./${name}/clusters.json`);
    await expect(text(endpoints.map(({ json }) => json))).toMatchFileSnapshot(`./${name}/endpoints.json`);
  });

  it('passes the rules of the Envoy API', () => {
    for (const { json } of clusters) expect(violations('cluster', json)).toEqual([]);
    for (const { json } of endpoints) expect(violations('endpoint', json)).toEqual([]);
  });

  it('names each resource as it names itself, and gives endpoints to every EDS cluster and to no other', () => {
    expect(clusters.map(({ json }) => Object(json).name)).toEqual(clusters.map(({ name: own }) => own));
    const eds = clusters.filter(({ json }) => Object(json).type === 'EDS').map(({ name: own }) => own);
    expect(endpoints.map(({ name: own }) => own)).toEqual(eds);
  });
});

/** Every mapper sets the ids alike, in two ways: they stand once, and their names in their places. */
function withoutIds({ mappers }: { readonly mappers: readonly { readonly headers_to_add: readonly object[] }[] }) {
  const kinds = { EARLY_IDS: localReplyIds({ early: true }), IDS: localReplyIds({ early: false }) };
  const abbreviated = mappers.map((mapper) => {
    const headers = mapper.headers_to_add.map((each) => JSON.stringify(each));
    for (const [name, ids] of Object.entries(kinds)) {
      const texts = ids.map((each) => JSON.stringify(each));
      const at = headers.indexOf(texts[0] ?? '');
      if (at < 0 || !texts.every((each, index) => headers[at + index] === each)) continue;
      return {
        ...mapper,
        headers_to_add: [...mapper.headers_to_add.slice(0, at), name, ...mapper.headers_to_add.slice(at + ids.length)],
      };
    }
    throw new Error('a mapper does not set the ids');
  });
  return { ...kinds, mappers: abbreviated };
}

describe('the edge', () => {
  it('listens and filters like this', async () => {
    const [plain, tls] = listeners({
      rows: ENDPOINTS,
      // The descriptors themselves are no reading.
      services: { descriptors: 'AA==', services: ['aggregate.gateway.v1.CommandService'] },
      accessLogPath: '/var/log/envoy/access.log',
      requestRate: { requests: 50_000, windowMs: 1_000 },
      address: '0.0.0.0',
      plainPort: 8080,
      tlsPort: 8443,
    });
    const manager = Object(plain).filter_chains[0].filters[0].typed_config;
    const shown = structuredClone(plain);
    Object(shown).filter_chains[0].filters[0].typed_config.local_reply_config = 'as in local-replies.json';
    await expect(text(shown)).toMatchFileSnapshot('./edge/listener-plain.json');
    await expect(text(withoutIds(manager.local_reply_config))).toMatchFileSnapshot('./edge/local-replies.json');
    const chain = Object(tls).filter_chains[0];
    // The same filters, so that the file holds only what is different.
    expect(chain.filters).toEqual(Object(plain).filter_chains[0].filters);
    const rest = { ...Object(tls), filter_chains: [{ ...chain, filters: ['as in listener-plain.json'] }] };
    await expect(text(rest)).toMatchFileSnapshot('./edge/listener-tls.json');
  });

  it('routes like this', async () => {
    await expect(text(routeConfiguration(ENDPOINTS, 17))).toMatchFileSnapshot('./edge/routes.json');
  });

  it('shows this certificate', async () => {
    const { json } = edgeSecret('CHAIN', 'KEY');
    await expect(text(json)).toMatchFileSnapshot('./edge/secret.json');
    expect(violations('secret', json)).toEqual([]);
  });

  it('passes the rules of the Envoy API, with the real descriptors', () => {
    const requestRate = { requests: 3, windowMs: 10_000 };
    const edge = { address: '::', port: 1, tlsPort: 2, accessLogPath: '/dev/stdout', requestRate };
    const made = edgeListeners({ ...edge, descriptors });
    expect(made.map(({ name }) => name)).toEqual(['edge-plain', 'edge-tls']);
    for (const { json } of made) expect(violations('listener', json)).toEqual([]);
    expect(violations('route', routeConfiguration(ENDPOINTS, 1))).toEqual([]);
  });

  it('has a route table that every move can afford to push, whatever its stamp', () => {
    const { frame } = createRouteStamper({ translateRoutes: edgeRoutes, encode: createMessageEncoder(registry) })(
      999_999_999,
    );
    expect(frame.length).toBeLessThan(4_096);
  });
});
