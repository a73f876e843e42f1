import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterName, SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { Mistakes } from '#domain/routing/mistakes.ts';
import { parseShard } from '#domain/routing/parse-shard.ts';
import { loadRegistry } from '#platform/proto-registry.ts';
import { createMessageEncoder } from '../../../../xds/encode.ts';
import { shardCluster, usesEds } from '../../../../xds/translate/cluster/cluster.ts';
import { loadAssignment } from '../../../../xds/translate/cluster/endpoint.ts';
import { shardsWithTlsOf } from '../../../support/generators/shards.ts';

const registry = loadRegistry([readFileSync(new URL('../../../../proto/envoy-api.binpb', import.meta.url))]);
const encode = createMessageEncoder(registry);

function parsed(value: unknown, kind: ServiceKind) {
  const mistakes = new Mistakes();
  const shard = parseShard(value, { kind, at: [], mistakes });
  if (shard === undefined) throw new Error(JSON.stringify(mistakes.list()));
  return shard;
}

const cluster = (members: Record<string, unknown>, kind: ServiceKind = 'projection') =>
  Object(shardCluster(`${kind}/s1`, parsed({ endpoints: [{ address: '10.0.0.5', port: 9001 }], ...members }, kind)));

describe('shardCluster', () => {
  it('is valid by the rules of the Envoy API for every shard that the parser takes', () => {
    const shards = fc
      .constantFrom(...SERVICE_KINDS)
      .chain((kind) => shardsWithTlsOf(kind).map((value) => ({ kind, value })));
    fc.assert(
      fc.property(shards, ({ kind, value }) => {
        const shard = parsed(value, kind);
        const name = clusterName(kind, 's1');
        expect(encode('cluster', { name, json: shardCluster(name, shard) }).length).toBeGreaterThan(0);
        expect(encode('endpoint', { name, json: loadAssignment(name, shard) }).length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  it('resolves everything by name as soon as one endpoint is a name, IP addresses included', () => {
    const endpoints = [
      { address: '10.0.0.5', port: 9001, weight: 2 },
      { address: 'node.internal', port: 9002 },
    ];
    expect(usesEds(parsed({ endpoints }, 'runner'))).toBe(false);
    const made = cluster({ endpoints });
    expect(made).toMatchObject({ type: 'STRICT_DNS' });
    expect(made).not.toHaveProperty('eds_cluster_config');
    expect(made.load_assignment.endpoints[0].lb_endpoints).toMatchObject([
      {
        endpoint: { address: { socket_address: { address: '10.0.0.5', port_value: 9001 } } },
        load_balancing_weight: 2,
      },
      { endpoint: { address: { socket_address: { address: 'node.internal', port_value: 9002 } } } },
    ]);
  });

  it('does not wait 600 s for the tasks of a name: the TTL that Docker gives', () => {
    const made = cluster({ endpoints: [{ address: 'tasks.projection', port: 1 }] });
    for (const member of ['respect_dns_ttl', 'dns_refresh_rate']) expect(made).not.toHaveProperty(member);
  });

  it('drops an endpoint with the document that drops it, healthy or not; a name only when it is no longer healthy', () => {
    expect(cluster({ health: { path: '/ready' } })).toMatchObject({ ignore_health_on_host_removal: true });
    const named = cluster({ endpoints: [{ address: 'node', port: 1 }], health: { path: '/ready' } });
    expect(named).not.toHaveProperty('ignore_health_on_host_removal');
  });

  it('sends nothing to endpoints known to be dead', () => {
    expect(cluster({}).common_lb_config).toEqual({ healthy_panic_threshold: { value: 0 } });
  });

  it('has room for every request that may be held during a move', () => {
    const [threshold] = cluster({}).circuit_breakers.thresholds;
    expect(threshold.max_requests).toBeGreaterThanOrEqual(LIMITS.stampWaitersMaxCount);
    expect(threshold.max_pending_requests).toBeGreaterThanOrEqual(LIMITS.stampWaitersMaxCount);
    expect(threshold.retry_budget).toMatchObject({ min_retry_concurrency: 100 });
  });

  it('replaces the retry budget by a number, because Envoy ignores a number beside a budget', () => {
    const [threshold] = cluster({ circuit_breakers: { max_retries: 0 } }).circuit_breakers.thresholds;
    expect(threshold).toEqual({
      max_connections: LIMITS.shardConnectionsMaxCount,
      max_pending_requests: LIMITS.shardRequestsMaxCount,
      max_requests: LIMITS.shardRequestsMaxCount,
      max_retries: 0,
    });
  });

  it('judges endpoints by their answers unless told otherwise', () => {
    expect(cluster({}).outlier_detection).toMatchObject({
      consecutive_gateway_failure: 3,
      enforcing_consecutive_gateway_failure: 100,
      consecutive_5xx: 5,
      max_ejection_percent: 50,
    });
    expect(cluster({ outlier_detection: false })).not.toHaveProperty('outlier_detection');
    // An ejection may be longer than the usual longest: Envoy would cut it.
    expect(cluster({ outlier_detection: { base_ejection_ms: 90_000 } }).outlier_detection).toMatchObject({
      base_ejection_time: '90s',
      max_ejection_time: '90s',
    });
  });

  it('asks over the protocol of the shard, under a name that is a host name', () => {
    const [http1] = cluster({ health: { path: '/ready' } }).health_checks;
    expect(http1.http_health_check).toEqual({
      host: 's1.projection',
      path: '/ready',
      expected_statuses: [{ start: 200, end: 300 }],
    });
    const [h2] = cluster({ health: { path: '/ready' }, protocol: 'h2' }).health_checks;
    expect(h2.http_health_check).toMatchObject({ codec_client_type: 'HTTP2' });
    const [grpc] = cluster({ health: { grpc: { service: 'a.B' } } }, 'aggregate').health_checks;
    expect(grpc.grpc_health_check).toEqual({ service_name: 'a.B', authority: 's1.aggregate' });
    expect(grpc).not.toHaveProperty('http_health_check');
    const [whole] = cluster({ health: { grpc: true } }, 'aggregate').health_checks;
    expect(whole.grpc_health_check).toEqual({ authority: 's1.aggregate' });
  });

  it('asks a shard without traffic as often until it is healthy', () => {
    const [check] = cluster({ health: { path: '/ready', interval_ms: 300 } }).health_checks;
    expect(check).toMatchObject({ interval: '0.3s', no_traffic_interval: '0.3s', no_traffic_healthy_interval: '1.5s' });
  });

  it('closes idle HTTP/1.1 connections before a server with common settings does', () => {
    const options = (members: Record<string, unknown>) =>
      Object.values<Record<string, unknown>>(cluster(members).typed_extension_protocol_options)[0];
    expect(options({})?.['common_http_protocol_options']).toEqual({ idle_timeout: '4s' });
    expect(options({ protocol: 'h2' })).not.toHaveProperty('common_http_protocol_options');
  });

  it('starts slowly and gives up connecting as told', () => {
    expect(cluster({ slow_start_ms: 30_000, connect_timeout_ms: 250 })).toMatchObject({
      lb_policy: 'LEAST_REQUEST',
      least_request_lb_config: { slow_start_config: { slow_start_window: '30s' } },
      connect_timeout: '0.25s',
    });
    expect(cluster({})).not.toHaveProperty('least_request_lb_config');
    expect(cluster({})).toMatchObject({ connect_timeout: '1s' });
  });
});

describe('TLS to a shard', () => {
  const made = (members: Record<string, unknown>, required = false) =>
    Object(
      shardCluster(
        'projection/s1',
        parsed({ endpoints: [{ address: '10.0.0.5', port: 1 }], ...members }, 'projection'),
        {
          required,
          secretsFolder: '/secrets',
        },
      ),
    ).transport_socket?.typed_config;
  const expected = (members: Record<string, unknown>, required?: boolean) =>
    made(members, required).common_tls_context.combined_validation_context.default_validation_context
      .match_typed_subject_alt_names;

  it('is there when the document or the gateway wants it, and not otherwise', () => {
    expect(made({})).toBeUndefined();
    expect(made({ tls: true })).toBeDefined();
    expect(made({}, true)).toEqual(made({ tls: true }));
  });

  it('expects the name of this very shard, or the one that the document gives', () => {
    const uri = (exact: string) => [{ san_type: 'URI', matcher: { exact } }];
    expect(expected({}, true)).toEqual(uri('spiffe://gateway/node/projection/s1'));
    expect(expected({ tls: { san: 'spiffe://other/x' } }, true)).toEqual(uri('spiffe://other/x'));
    expect(expected({ tls: { server_name: 'a.b' } })).toEqual([{ san_type: 'DNS', matcher: { exact: 'a.b' } }]);
    expect(expected({ tls: { server_name: 'a.b', san: 'c.d' } })).toEqual([
      { san_type: 'DNS', matcher: { exact: 'c.d' } },
    ]);
    expect(made({ tls: { server_name: 'a.b' } }).sni).toBe('a.b');
    expect(made({ tls: true })).not.toHaveProperty('sni');
  });

  it('holds no key: Envoy reads its own files', () => {
    const text = JSON.stringify(made({ tls: true }));
    expect(text).toContain('"path":"/secrets/sds-identity.yaml"');
    expect(text).toContain('"path":"/secrets/sds-trust.yaml"');
    expect(text).not.toMatch(/inline|PRIVATE|private_key/);
  });

  it('offers the protocol that the shard speaks', () => {
    expect(made({ tls: true }).common_tls_context.alpn_protocols).toEqual(['http/1.1']);
    expect(made({ tls: true, protocol: 'h2' }).common_tls_context.alpn_protocols).toEqual(['h2']);
  });
});
