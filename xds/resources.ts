import type { RateLimit } from '#domain/access/rate-limit.ts';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { clusterName } from '#domain/ids.ts';
import type { ControlPlaneOptions } from './control-plane.ts';
import { shardCluster, usesEds } from './translate/cluster/cluster.ts';
import { loadAssignment } from './translate/cluster/endpoint.ts';
import { SHARD_TLS_DEFAULTS, type ShardTlsOptions } from './translate/cluster/tls.ts';
import { listeners } from './translate/listener.ts';
import { NAMES } from './translate/names.ts';
import { routeConfiguration } from './translate/routes/route-config.ts';
import { certificateSecret } from './translate/secret.ts';

/** The gRPC services that Envoy makes calls of JSON requests for. */
const TRANSCODED_SERVICES = ['aggregate.gateway.v1.CommandService'];

type Translators = Pick<ControlPlaneOptions, 'translateCluster' | 'translateEndpoints' | 'routeName'>;

/** How the control plane gets its resources from the translators, with the whole endpoint catalogue. */
export const translatorsWith = (tls: ShardTlsOptions): Translators => ({
  routeName: NAMES.routes,
  translateCluster: (kind, shardName, shard) => {
    const name = clusterName(kind, shardName);
    return { name, json: shardCluster(name, shard, tls) };
  },
  translateEndpoints: (kind, shardName, shard) => {
    const name = clusterName(kind, shardName);
    return usesEds(shard) ? { name, json: loadAssignment(name, shard) } : undefined;
  },
});

/** The same without any setting. */
export const TRANSLATORS: Translators = translatorsWith(SHARD_TLS_DEFAULTS);

/** The route configuration of all endpoints, with a text in the place of the stamp. */
export const edgeRoutes = (stamp: string, corsOrigins: readonly string[] = []) => ({
  name: NAMES.routes,
  json: routeConfiguration(ENDPOINTS, stamp, corsOrigins),
});

/** The listeners, made once: they never change while the server runs. */
export const edgeListeners = (options: {
  readonly address: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly accessLogPath: string;
  readonly requestRate?: RateLimit | undefined;
  readonly traceSamplePercent?: number | undefined;
  readonly corsOrigins?: readonly string[] | undefined;
  readonly hstsSeconds?: number | undefined;
  /** Absent: no HTTP/3. */
  readonly http3?: { readonly advertisedPort: number } | undefined;
  /** Serialized FileDescriptorSet of the transcoded services. */
  readonly descriptors: Buffer;
}) =>
  listeners({
    rows: ENDPOINTS,
    services: { descriptors: options.descriptors.toString('base64'), services: TRANSCODED_SERVICES },
    accessLogPath: options.accessLogPath,
    requestRate: options.requestRate,
    traceSamplePercent: options.traceSamplePercent,
    corsOrigins: options.corsOrigins,
    hstsSeconds: options.hstsSeconds,
    http3: options.http3,
    address: options.address,
    plainPort: options.port,
    tlsPort: options.tlsPort,
  }).map((json) => ({ name: String(json['name']), json }));

/** The edge's certificate and key, PEM, as the secret that the TLS listener asks for. */
export const edgeSecret = (chain: string, key: string) => ({
  name: NAMES.certificate,
  json: certificateSecret({ chain, key }),
});
