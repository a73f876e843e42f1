import { resolve } from 'node:path';
import { EnvReader } from '#platform/env.ts';
import { otlpAddress, readTracing } from '#platform/tracing/tracing.ts';

/** Settings of the development gateway. */
export interface LauncherConfig {
  /** HTTP/1.1, h2c and gRPC in clear; 0 = any free port, the same one at the next start. */
  readonly httpPort: number;
  /** TLS with the development CA; 0 as above. */
  readonly httpsPort: number;
  readonly edgeAddress: string;
  readonly dataFolder: string;
  /** Mutual TLS on every connection inside. Off, because tools then need a certificate to look into anything. */
  readonly internalTls: boolean;
  /** Changed shards are shown to Envoy's binary before they are published. Off: quarantine is what protects. */
  readonly envoyValidator: boolean;
  /** Where Envoy's spans go, in clear; the other programs read it themselves. */
  readonly collector: { readonly host: string; readonly port: number } | undefined;
  readonly envoy: string;
  readonly natsServer: string;
  /** What the children get besides their own settings: everything this process got. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const HTTP_PORT = 8080;
const HTTPS_PORT = 8443;
/** Development is not reachable from other machines unless somebody asks for it. */
const EDGE_ADDRESS = '127.0.0.1';
const DATA_FOLDER = '.data';

/**
 * Reads the launcher's environment. The two servers are found, or fetched and verified, by scripts/start.mjs.
 * @throws ConfigurationError naming every mistake
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, repository: string): LauncherConfig {
  const reader = new EnvReader(env);
  const collector = otlpAddress(readTracing(reader).endpoint ?? '');
  if (collector?.isTls === true) reader.mistake('GATEWAY_OTLP_ENDPOINT must begin with http:// in development');
  const config = {
    httpPort: reader.port('GATEWAY_PORT', HTTP_PORT),
    httpsPort: reader.port('GATEWAY_TLS_PORT', HTTPS_PORT),
    edgeAddress: reader.text('GATEWAY_EDGE_ADDRESS', EDGE_ADDRESS),
    dataFolder: resolve(repository, reader.text('GATEWAY_DATA', DATA_FOLDER)),
    internalTls: reader.choice('GATEWAY_INTERNAL_TLS', ['on', 'off'], 'off') === 'on',
    envoyValidator: reader.choice('GATEWAY_ENVOY_VALIDATOR', ['on', 'off'], 'off') === 'on',
    collector,
    envoy: reader.text('GATEWAY_ENVOY'),
    natsServer: reader.text('GATEWAY_NATS_SERVER'),
    environment: env,
  };
  if (config.httpPort !== 0 && config.httpPort === config.httpsPort) {
    reader.mistake(`GATEWAY_PORT and GATEWAY_TLS_PORT are both ${config.httpPort}`);
  }
  reader.finish();
  return config;
}
