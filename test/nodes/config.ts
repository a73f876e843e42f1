import { isServiceKind, isShardName, SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { EnvReader } from '#platform/env.ts';
import type { InternalTlsFiles } from '#platform/internal-tls/internal-tls.ts';
import { readInternalTlsFiles } from '#platform/internal-tls/read-tls-files.ts';
import { readTracing, type TracingSettings } from '#platform/tracing/tracing.ts';

/** What one node process is: one shard of one service kind at one address. */
export interface NodeConfig {
  readonly kind: ServiceKind;
  readonly shard: string;
  readonly host: string;
  /** 0: any free one; the log line "listening" says which. */
  readonly port: number;
  readonly logLevel: string;
  /** Its certificate; absent: it listens in clear. */
  readonly tlsFiles?: InternalTlsFiles | undefined;
  /** Where its spans go; absent: there are none. */
  readonly tracing?: TracingSettings | undefined;
}

/**
 * Reads `NODE_KIND`, `NODE_SHARD`, `NODE_LISTEN` (host:port), `GATEWAY_LOG_LEVEL`, and `GATEWAY_INTERNAL_CA_FILE` and so
 * on: with them it takes connections of Envoy alone, over TLS; and `GATEWAY_OTLP_ENDPOINT`, where its spans go.
 * @throws ConfigurationError naming every mistake
 */
export function readNodeConfig(env: Readonly<Record<string, string | undefined>>): NodeConfig {
  const reader = new EnvReader(env);
  const kind = reader.text('NODE_KIND');
  const shard = reader.text('NODE_SHARD');
  const listen = reader.listen('NODE_LISTEN');
  const logLevel = reader.text('GATEWAY_LOG_LEVEL', 'info');
  const tlsFiles = readInternalTlsFiles(reader);
  if (kind !== '' && !isServiceKind(kind))
    reader.mistake(`NODE_KIND must be one of ${SERVICE_KINDS.join(', ')}, not "${kind}"`);
  if (shard !== '' && !isShardName(shard)) reader.mistake(`NODE_SHARD must be a shard name, not "${shard}"`);
  const tracing = readTracing(reader);
  reader.finish();
  if (!isServiceKind(kind) || !('host' in listen)) throw new Error('finish() has refused this');
  return { kind, shard, host: listen.host, port: listen.port, logLevel, tlsFiles, tracing };
}
