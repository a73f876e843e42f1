import { clusterIdentity } from '#domain/internal-identity.ts';
import { isUriName } from '#domain/routing/shard-settings.ts';
import type { Shard } from '#domain/routing/types.ts';
import { extension, type JsonObject } from '../json.ts';
import { INTERNAL_SECRETS } from '../names.ts';

/** How shards are reached. */
export interface ShardTlsOptions {
  /** TLS also to shards whose document says nothing of it. */
  readonly required: boolean;
  /** Folder in Envoy's file system with the files of `INTERNAL_SECRETS`. */
  readonly secretsFolder: string;
}

/** What holds without a setting; the folder is that of envoy/bootstrap.yaml. */
export const SHARD_TLS_DEFAULTS: ShardTlsOptions = { required: false, secretsFolder: '/etc/envoy' };

/**
 * TLS to the endpoints of a shard: Envoy shows its certificate and takes only one of the internal CA with exactly the
 * name of this shard, so that no shard can stand in for another. There is no way back to clear: an endpoint that does not
 * prove who it is gets no request. Keys never travel over ADS: Envoy reads them from its own files and follows them.
 */
export function upstreamTls(
  name: string,
  shard: Pick<Shard, 'protocol' | 'tls'>,
  { required, secretsFolder }: ShardTlsOptions,
): JsonObject {
  if (shard.tls === undefined && !required) return {};
  const { serverName, san = serverName ?? clusterIdentity(name) } = shard.tls ?? {};
  return {
    transport_socket: extension(
      'envoy.transport_sockets.tls',
      'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      {
        ...(serverName === undefined ? {} : { sni: serverName }),
        common_tls_context: {
          alpn_protocols: [shard.protocol === 'h2' ? 'h2' : 'http/1.1'],
          // Envoy's own maximum for the servers it calls is 1.2.
          tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
          tls_certificate_sds_secret_configs: [secret(INTERNAL_SECRETS.identity, secretsFolder)],
          combined_validation_context: {
            default_validation_context: {
              match_typed_subject_alt_names: [{ san_type: isUriName(san) ? 'URI' : 'DNS', matcher: { exact: san } }],
            },
            validation_context_sds_secret_config: secret(INTERNAL_SECRETS.trust, secretsFolder),
          },
        },
      },
    ),
  };
}

const secret = ({ name, file }: { readonly name: string; readonly file: string }, folder: string): JsonObject => ({
  name,
  sds_config: { path_config_source: { path: `${folder}/${file}` }, resource_api_version: 'V3' },
});
