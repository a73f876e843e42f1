import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { parseShardDirectory, shardDirectoryText } from '#domain/routing/canonical.ts';
import { Mistakes } from '#domain/routing/mistakes.ts';
import { parseShard } from '#domain/routing/parse-shard.ts';
import { shareDirectory } from '#domain/routing/revision.ts';
import {
  BREAKER_NUMBERS,
  HEALTH_NUMBERS,
  type NumberSetting,
  OUTLIER_NUMBERS,
  SHARD_NUMBERS,
  shardDocument,
} from '#domain/routing/shard-settings.ts';
import type { Shard } from '#domain/routing/types.ts';
import { shardsWithTlsOf } from '../../../support/generators/shards.ts';

const endpoints = [{ address: '10.0.0.5', port: 9001 }];

function read(value: unknown, kind: ServiceKind | undefined = 'projection') {
  const mistakes = new Mistakes();
  const shard = parseShard(value, { kind, at: [], mistakes });
  return { shard, mistakes: mistakes.list().map(({ pointer, code }) => [pointer, code] as const) };
}
/** A shard with these members besides its endpoint. */
const mistakesOf = (members: Record<string, unknown>, kind?: ServiceKind) =>
  read({ endpoints, ...members }, kind).mistakes;

function accepted(value: unknown, kind?: ServiceKind): Shard {
  const { shard, mistakes } = read(value, kind);
  if (shard === undefined) throw new Error(JSON.stringify(mistakes));
  return shard;
}

describe('parseShard', () => {
  it('reads every member', () => {
    const value = {
      endpoints: [{ address: 'Node.Example', port: 1, weight: 2 }],
      protocol: 'h2',
      health: {
        grpc: { service: 'a.B' },
        interval_ms: 2_000,
        timeout_ms: 100,
        unhealthy_threshold: 3,
        healthy_threshold: 2,
      },
      outlier_detection: {
        consecutive_gateway_failures: 2,
        consecutive_5xx: 7,
        interval_ms: 500,
        base_ejection_ms: 1_000,
        max_ejection_percent: 100,
      },
      circuit_breakers: { max_connections: 1, max_pending_requests: 2, max_requests: 3, max_retries: 0 },
      slow_start_ms: 1_000,
      connect_timeout_ms: 50,
    };
    expect(accepted(value)).toEqual({
      endpoints: [{ address: 'node.example', port: 1, weight: 2 }],
      protocol: 'h2',
      health: {
        grpc: { service: 'a.B' },
        intervalMs: 2_000,
        timeoutMs: 100,
        unhealthyThreshold: 3,
        healthyThreshold: 2,
      },
      outlierDetection: {
        consecutiveGatewayFailures: 2,
        consecutive5xx: 7,
        intervalMs: 500,
        baseEjectionMs: 1_000,
        maxEjectionPercent: 100,
      },
      circuitBreakers: { maxConnections: 1, maxPendingRequests: 2, maxRequests: 3, maxRetries: 0 },
      slowStartMs: 1_000,
      connectTimeoutMs: 50,
    });
  });

  it('takes what says nothing as left out', () => {
    const plain = accepted({ endpoints });
    expect(plain).toEqual({ endpoints: [{ ...endpoints[0], weight: 1 }], protocol: 'http1' });
    expect(accepted({ endpoints, outlier_detection: {}, circuit_breakers: {} })).toEqual(plain);
    const whole = { grpc: { service: '' } };
    for (const grpc of [true, {}, { service: '' }]) {
      expect(accepted({ endpoints, health: { grpc } }, 'aggregate').health).toEqual(whole);
    }
    expect(accepted({ endpoints, outlier_detection: false }).outlierDetection).toBe(false);
  });

  it('reads TLS, the name to expect in lower case where it is a DNS name', () => {
    const read = (tls: unknown) => accepted({ endpoints, tls }).tls;
    expect(accepted({ endpoints }).tls).toBeUndefined();
    expect(read(true)).toEqual({});
    expect(read({})).toEqual({});
    expect(read({ san: 'spiffe://Example.org/A' })).toEqual({ san: 'spiffe://Example.org/A' });
    expect(read({ san: 'Node.Example', server_name: 'SNI.Example' })).toEqual({
      san: 'node.example',
      serverName: 'sni.example',
    });
    expect(mistakesOf({ tls: false })).toEqual([['/tls', 'invalid_value']]);
    expect(mistakesOf({ tls: 'on' })).toEqual([['/tls', 'wrong_type']]);
    for (const san of ['', '10.0.0.1', 'a b', 'spiffe://', '://x', 'Spiffe://a b', `spiffe://${'a'.repeat(2_048)}`]) {
      expect(mistakesOf({ tls: { san } }), san).toEqual([['/tls/san', 'invalid_value']]);
    }
    expect(mistakesOf({ tls: { san: 1, server_name: 'spiffe://a/b', sni: 'a' } })).toEqual([
      ['/tls/sni', 'unknown_member'],
      ['/tls/san', 'wrong_type'],
      ['/tls/server_name', 'invalid_value'],
    ]);
  });

  it('reports every mistake at once, each with its pointer', () => {
    const value = {
      endpoints,
      protocol: 'http1',
      health: { path: '/ready', grpc: { service: 'not a service', server: 'x' }, interval_ms: 99, timeout_ms: '1s' },
      outlier_detection: { consecutive_gateway_failure: 3, consecutive_5xx: 0, max_ejection_percent: 101 },
      circuit_breakers: { max_retries: -1, max_requests: 1.5, maxConnections: 1 },
      slow_start_ms: null,
      connect_timeout_ms: 10_001,
      connect_timeout: '1s',
    };
    const { shard, mistakes } = read(value);
    expect(shard).toBeUndefined();
    expect(mistakes.toSorted()).toEqual(
      [
        ['/circuit_breakers/maxConnections', 'unknown_member'],
        ['/circuit_breakers/max_requests', 'out_of_range'],
        ['/circuit_breakers/max_retries', 'out_of_range'],
        ['/connect_timeout', 'unknown_member'],
        ['/connect_timeout_ms', 'out_of_range'],
        ['/health', 'invalid_value'],
        ['/health/grpc', 'invalid_value'],
        ['/health/grpc/server', 'unknown_member'],
        ['/health/grpc/service', 'invalid_value'],
        ['/health/interval_ms', 'out_of_range'],
        ['/health/timeout_ms', 'wrong_type'],
        ['/outlier_detection/consecutive_5xx', 'out_of_range'],
        ['/outlier_detection/consecutive_gateway_failure', 'unknown_member'],
        ['/outlier_detection/max_ejection_percent', 'out_of_range'],
        ['/slow_start_ms', 'wrong_type'],
      ].toSorted(),
    );
  });

  it.each([
    [{ health: true }, '/health', 'wrong_type'],
    [{ health: {} }, '/health/path', 'missing'],
    [{ health: { path: 'ready' } }, '/health/path', 'invalid_value'],
    [{ health: { path: '/a b' } }, '/health/path', 'invalid_value'],
    [{ health: { path: `/${'a'.repeat(1_024)}` } }, '/health/path', 'invalid_value'],
    [{ protocol: 'h2', health: { grpc: false } }, '/health/grpc', 'invalid_value'],
    [{ protocol: 'h2', health: { grpc: 'yes' } }, '/health/grpc', 'wrong_type'],
    [{ protocol: 'h2', health: { grpc: { service: 7 } } }, '/health/grpc/service', 'wrong_type'],
    [
      { protocol: 'h2', health: { grpc: { service: `a${'.b'.repeat(128)}` } } },
      '/health/grpc/service',
      'invalid_value',
    ],
    [{ outlier_detection: true }, '/outlier_detection', 'wrong_type'],
    [{ outlier_detection: null }, '/outlier_detection', 'wrong_type'],
    [{ circuit_breakers: false }, '/circuit_breakers', 'wrong_type'],
    [{ circuit_breakers: [] }, '/circuit_breakers', 'wrong_type'],
  ])('refuses %j', (members, pointer, code) => {
    expect(mistakesOf(members)).toEqual([[pointer, code]]);
  });

  it('refuses HTTP/1.1 where commands go, and a gRPC check of it anywhere', () => {
    expect(mistakesOf({ protocol: 'http1' }, 'aggregate')).toEqual([['/protocol', 'invalid_value']]);
    expect(mistakesOf({ health: { grpc: true } }, 'runner')).toEqual([['/health/grpc', 'invalid_value']]);
    expect(mistakesOf({ protocol: 'h2', health: { grpc: true } }, 'runner')).toEqual([]);
    expect(mistakesOf({ health: { grpc: true } }, 'aggregate')).toEqual([]);
  });

  it('still reads a stored aggregate shard of HTTP/1.1', () => {
    expect(parseShardDirectory('{"s1":{"endpoints":[],"protocol":"http1"}}')).toMatchObject({ ok: true });
  });

  const groups: readonly (readonly [string, readonly NumberSetting<string>[], (numbers: object) => object])[] = [
    ['', SHARD_NUMBERS, (numbers) => numbers],
    ['/health', HEALTH_NUMBERS, (numbers) => ({ health: { path: '/', ...numbers } })],
    ['/outlier_detection', OUTLIER_NUMBERS, (numbers) => ({ outlier_detection: numbers })],
    ['/circuit_breakers', BREAKER_NUMBERS, (numbers) => ({ circuit_breakers: numbers })],
  ];
  it.each(groups)('takes each number of "%s" from its least to its greatest and no other', (at, settings, within) => {
    for (const { member, min, max } of settings) {
      for (const value of [min, max]) expect(mistakesOf({ ...within({ [member]: value }) })).toEqual([]);
      for (const value of [min - 1, max + 1, min + 0.5]) {
        expect(mistakesOf({ ...within({ [member]: value }) })).toEqual([[`${at}/${member}`, 'out_of_range']]);
      }
    }
  });
});

const shards = fc
  .constantFrom(...SERVICE_KINDS)
  .chain((kind) => shardsWithTlsOf(kind).map((value) => ({ kind, value })));

describe('the canonical form', () => {
  it('has not changed for shards without settings', () => {
    const document = {
      endpoints: [{ address: '10.0.0.5', port: 9001, weight: 3 }],
      protocol: 'h2',
      health: { path: '/ready?x="1"' },
    };
    expect(shardDirectoryText(new Map([['s1', accepted(document)]]))).toBe(
      '{"s1":{"endpoints":[{"address":"10.0.0.5","port":9001,"weight":3}],' +
        '"health":{"path":"/ready?x=\\"1\\""},"protocol":"h2"}}',
    );
  });

  it('has its members in code unit order, whatever the order in the document', () => {
    const document = {
      slow_start_ms: 2_000,
      protocol: 'h2',
      outlier_detection: { max_ejection_percent: 10, consecutive_5xx: 9 },
      health: { timeout_ms: 200, grpc: true, healthy_threshold: 2 },
      endpoints: [],
      connect_timeout_ms: 100,
      circuit_breakers: { max_retries: 3, max_connections: 7 },
    };
    expect(shardDirectoryText(new Map([['s1', accepted(document)]]))).toBe(
      '{"s1":{"circuit_breakers":{"max_connections":7,"max_retries":3},"connect_timeout_ms":100,"endpoints":[],' +
        '"health":{"grpc":true,"healthy_threshold":2,"timeout_ms":200},' +
        '"outlier_detection":{"consecutive_5xx":9,"max_ejection_percent":10},"protocol":"h2","slow_start_ms":2000}}',
    );
  });

  it('is read back as the same shard with the same text, from storage and as a document', () => {
    fc.assert(
      fc.property(shards, ({ kind, value }) => {
        const shard = accepted(value, kind);
        const text = shardDirectoryText(new Map([['s1', shard]]));
        expect(parseShardDirectory(text)).toEqual({ ok: true, value: new Map([['s1', shard]]) });
        expect(accepted(JSON.parse(JSON.stringify(shardDocument(shard))), kind)).toEqual(shard);
      }),
    );
  });
});

describe('shareDirectory', () => {
  it('holds two shards for equal exactly when their canonical texts are', () => {
    // A few members each: pairs that differ in one are likely.
    const members = fc.constantFrom<Record<string, unknown>>(
      {},
      { protocol: 'h2' },
      { health: { path: '/ready' } },
      { health: { path: '/ready', interval_ms: 500 } },
      { protocol: 'h2', health: { grpc: true } },
      { protocol: 'h2', health: { grpc: { service: 'a' } } },
      { outlier_detection: false },
      { tls: true },
      { tls: { san: 'a' } },
      { outlier_detection: { consecutive_5xx: 4 } },
      { outlier_detection: { consecutive_gateway_failures: 4 } },
      { circuit_breakers: { max_retries: 4 } },
      { circuit_breakers: { max_requests: 4 } },
      { slow_start_ms: 1_000 },
      { connect_timeout_ms: 1_000 },
    );
    fc.assert(
      fc.property(members, members, (one, two) => {
        const held = new Map([['s1', accepted({ endpoints, ...one })]]);
        const fresh = new Map([['s1', accepted({ endpoints, ...two })]]);
        expect(shareDirectory(held, fresh) === held).toBe(shardDirectoryText(held) === shardDirectoryText(fresh));
      }),
      { numRuns: 500 },
    );
  });
});
