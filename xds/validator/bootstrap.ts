import { INTERNAL_SECRETS } from '../translate/names.ts';

/** Files beside the bootstrap, by name: what shards with TLS refer to, without any secret in it. */
export const BESIDE_BOOTSTRAP: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(INTERNAL_SECRETS).map(({ file }) => [file, '']),
);

/** The folder that clusters are translated for: Envoy's working folder, so that equal shards have equal bytes. */
export const SECRETS_FOLDER = '.';

/** Where EDS clusters would get their endpoints; nobody is asked when Envoy only validates. */
const ADS_CLUSTER = 'xds';
const ADS = {
  api_type: 'DELTA_GRPC',
  transport_api_version: 'V3',
  grpc_services: [{ envoy_grpc: { cluster_name: ADS_CLUSTER } }],
};
const HTTP2_OPTIONS = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};

/**
 * A bootstrap that Envoy validates as far as it can without starting: no listener, no admin, these clusters beside the
 * one that EDS clusters need. @param clusters JSON of one or more clusters each
 */
export function validationBootstrap(clusters: readonly string[]): string {
  const ads = JSON.stringify({
    name: ADS_CLUSTER,
    type: 'STATIC',
    load_assignment: { cluster_name: ADS_CLUSTER },
    typed_extension_protocol_options: HTTP2_OPTIONS,
  });
  const node = JSON.stringify({ id: 'validator', cluster: 'edge' });
  const dynamic = JSON.stringify({ ads_config: ADS });
  return `{"node":${node},"dynamic_resources":${dynamic},"static_resources":{"clusters":[${[ads, ...clusters].join(',')}]}}`;
}
