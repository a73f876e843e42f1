import { hostname } from 'node:os';
import { join } from 'node:path';
import { RATE_BOUNDS, type RateLimit } from '#domain/access/rate-limit.ts';
import { EnvReader } from '#platform/env.ts';
import type { InternalTlsFiles } from '#platform/internal-tls/internal-tls.ts';
import { readInternalTlsFiles } from '#platform/internal-tls/read-tls-files.ts';
import { readTracing, type TracingSettings } from '#platform/tracing/tracing.ts';
import { SHARD_TLS_DEFAULTS, type ShardTlsOptions } from './translate/cluster/tls.ts';

/** Everything the xDS server is told from outside, parsed once (docs/config.md). */
export interface XdsConfig {
  readonly natsUrl: string;
  readonly natsReplicas: number;
  readonly replica: string;
  readonly logLevel: string;
  readonly grpcListen: { readonly host: string; readonly port: number };
  readonly httpListen: { readonly host: string; readonly port: number };
  /** What Envoys listen on. */
  readonly edge: {
    readonly address: string;
    readonly port: number;
    readonly tlsPort: number;
    /** What each listener of one Envoy takes. */
    readonly requestRate: RateLimit | undefined;
    /** Origins of pages elsewhere that may use the gateway. */
    readonly corsOrigins: readonly string[];
    /** How long browsers are told to use TLS alone (RFC 6797); 0: nothing is said. */
    readonly hstsSeconds: number;
    /** Of the requests whose client has no trace of its own: how many are recorded. */
    readonly traceSamplePercent: number;
    /** HTTP/3 on the UDP port of TLS, and the port that clients are told; undefined: not offered. */
    readonly http3: { readonly advertisedPort: number } | undefined;
  };
  readonly tlsCertificateFile: string;
  readonly tlsKeyFile: string;
  /** A routing document kept in force from a file, for development. */
  readonly routingFile: string | undefined;
  /** In Envoy's file system. */
  readonly accessLogPath: string;
  readonly protoDir: string;
  /** Where the routing that an Envoy acknowledged last is kept, for a start while NATS is away; absent: nowhere. */
  readonly stateFolder: string | undefined;
  /** Our certificate inside; absent: xds speaks in clear with Envoy and NATS. */
  readonly internalTls: InternalTlsFiles | undefined;
  readonly shardTls: ShardTlsOptions;
  /** An Envoy binary that is asked about shards before they are published; absent: nobody is asked. */
  readonly envoyValidator: string | undefined;
  readonly tracing: TracingSettings;
}

/** A year, which is what lists of such sites ask for, and two at most. */
const HSTS_SECONDS = 31_536_000;
const HSTS_MAX_SECONDS = 2 * HSTS_SECONDS;

/** @throws ConfigurationError naming every mistake */
export function parseXdsConfig(env: Readonly<Record<string, string | undefined>>): XdsConfig {
  const read = new EnvReader(env);
  const tcp = (name: string) => {
    const listen = read.listen(name);
    return 'path' in listen ? { host: '', port: 0 } : listen;
  };
  const tracing = readTracing(read);
  const tlsPort = read.port('GATEWAY_TLS_PORT', 8443);
  const config = {
    natsUrl: read.text('GATEWAY_NATS_URL'),
    natsReplicas: read.integer('GATEWAY_NATS_REPLICAS', { min: 1, max: 5, fallback: 1 }),
    replica: read.text('GATEWAY_REPLICA', `xds-${hostname()}-${process.pid}`).replaceAll(/[^A-Za-z0-9_-]/g, '-'),
    logLevel: read.choice('GATEWAY_LOG_LEVEL', ['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info'),
    grpcListen: tcp('GATEWAY_XDS_GRPC_LISTEN'),
    httpListen: tcp('GATEWAY_XDS_HTTP_LISTEN'),
    edge: {
      address: read.text('GATEWAY_EDGE_ADDRESS', '0.0.0.0'),
      port: read.port('GATEWAY_PORT', 8080),
      tlsPort,
      http3: readHttp3(read, tlsPort),
      corsOrigins: readCorsOrigins(read),
      hstsSeconds: read.integer('GATEWAY_HSTS_SECONDS', { min: 0, max: HSTS_MAX_SECONDS, fallback: HSTS_SECONDS }),
      traceSamplePercent: tracing.samplePercent,
      requestRate: read.rate('GATEWAY_RATE_LISTENER', { ...RATE_BOUNDS, fallback: '50000/1s' }),
    },
    tlsCertificateFile: read.text('GATEWAY_TLS_CERT_FILE'),
    tlsKeyFile: read.text('GATEWAY_TLS_KEY_FILE'),
    routingFile: read.optional('GATEWAY_ROUTING_FILE'),
    accessLogPath: read.text('GATEWAY_ACCESS_LOG', '/dev/stdout'),
    protoDir: read.text('GATEWAY_PROTO_DIR', join(import.meta.dirname, '../proto')),
    stateFolder: read.optional('GATEWAY_XDS_STATE_DIR'),
    internalTls: readInternalTlsFiles(read),
    tracing,
    envoyValidator: read.optional('GATEWAY_ENVOY_VALIDATOR'),
    shardTls: {
      required: read.choice('GATEWAY_SHARD_TLS', ['required', 'optional'], 'optional') === 'required',
      secretsFolder: read.text('GATEWAY_ENVOY_SDS_DIR', SHARD_TLS_DEFAULTS.secretsFolder).replace(/\/+$/, ''),
    },
  };
  read.finish();
  return config;
}

function readHttp3(read: EnvReader, tlsPort: number): XdsConfig['edge']['http3'] {
  const isOn = read.choice('GATEWAY_HTTP3', ['on', 'off'], 'off') === 'on';
  const advertisedPort = read.port('GATEWAY_HTTP3_ADVERTISED_PORT', tlsPort);
  return isOn ? { advertisedPort } : undefined;
}

/** Each is sent with every route configuration, and compared with the origin of every request. */
const ORIGINS_MAX_COUNT = 32;

/**
 * Origins that pages of other sites may have to use the gateway, `GATEWAY_CORS_ORIGINS`: separated by commas, each
 * exactly as a browser writes it (RFC 6454, 6.2), so that equality is all that is ever asked. No patterns, no `*`, no
 * `null`: each would let in whoever finds a name that fits.
 */
function readCorsOrigins(read: EnvReader): readonly string[] {
  const origins = (read.optional('GATEWAY_CORS_ORIGINS') ?? '').split(',').map((origin) => origin.trim());
  const given = [...new Set(origins.filter((origin) => origin !== ''))];
  for (const origin of given.filter((each) => !isOrigin(each))) {
    read.mistake(
      `GATEWAY_CORS_ORIGINS: "${origin}" is not an origin as browsers write it, like https://app.example.com`,
    );
  }
  if (given.length > ORIGINS_MAX_COUNT) {
    read.mistake(`GATEWAY_CORS_ORIGINS must name at most ${ORIGINS_MAX_COUNT} origins, not ${given.length}`);
  }
  return given;
}

/** Lower case, no default port, no path, no user: whatever a browser would write otherwise would never be equal. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, origin } = new URL(text);
  // `https://*.example` is one to the parser, and of no browser.
  return (protocol === 'https:' || protocol === 'http:') && origin === text && !text.includes('*');
}
