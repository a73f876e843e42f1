import { hostname } from 'node:os';
import { join } from 'node:path';
import { EnvReader } from '#platform/env.ts';

/** Everything the xDS server is told from outside, parsed once (docs/config.md). */
export interface XdsConfig {
  readonly natsUrl: string;
  readonly natsReplicas: number;
  readonly replica: string;
  readonly logLevel: string;
  readonly grpcListen: { readonly host: string; readonly port: number };
  readonly httpListen: { readonly host: string; readonly port: number };
  /** What Envoys listen on. */
  readonly edge: { readonly address: string; readonly port: number; readonly tlsPort: number };
  readonly tlsCertificateFile: string;
  readonly tlsKeyFile: string;
  /** A routing document kept in force from a file, for development. */
  readonly routingFile: string | undefined;
  /** In Envoy's file system. */
  readonly accessLogPath: string;
  readonly protoDir: string;
  /** Where the routing that an Envoy acknowledged last is kept, for a start while NATS is away; absent: nowhere. */
  readonly stateFolder: string | undefined;
}

/** @throws ConfigurationError naming every mistake */
export function parseXdsConfig(env: Readonly<Record<string, string | undefined>>): XdsConfig {
  const read = new EnvReader(env);
  const tcp = (name: string) => {
    const listen = read.listen(name);
    return 'path' in listen ? { host: '', port: 0 } : listen;
  };
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
      tlsPort: read.port('GATEWAY_TLS_PORT', 8443),
    },
    tlsCertificateFile: read.text('GATEWAY_TLS_CERT_FILE'),
    tlsKeyFile: read.text('GATEWAY_TLS_KEY_FILE'),
    routingFile: read.optional('GATEWAY_ROUTING_FILE'),
    accessLogPath: read.text('GATEWAY_ACCESS_LOG', '/dev/stdout'),
    protoDir: read.text('GATEWAY_PROTO_DIR', join(import.meta.dirname, '../proto')),
    stateFolder: read.optional('GATEWAY_XDS_STATE_DIR'),
  };
  read.finish();
  return config;
}
