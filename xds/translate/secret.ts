import { type JsonObject, overAds } from './json.ts';
import { NAMES } from './names.ts';

/** A certificate chain and its key, PEM. */
interface Certificate {
  readonly chain: string;
  readonly key: string;
}

/** The edge's certificate as an SDS secret: a new one is used for new connections, the old ones stay. */
export const certificateSecret = ({ chain, key }: Certificate): JsonObject => ({
  name: NAMES.certificate,
  tls_certificate: { certificate_chain: { inline_string: chain }, private_key: { inline_string: key } },
});

/**
 * How clients are spoken to in secret: the certificate comes over ADS by its name, so that a new one changes no listener.
 * @param options.protocols what may be agreed on (ALPN), the favourite first
 */
export const downstreamTls = (options: {
  readonly protocols: readonly string[];
  readonly minimum: 'TLSv1_2' | 'TLSv1_3';
}): JsonObject => ({
  common_tls_context: {
    alpn_protocols: [...options.protocols],
    tls_params: { tls_minimum_protocol_version: options.minimum },
    tls_certificate_sds_secret_configs: [{ name: NAMES.certificate, sds_config: overAds() }],
  },
});
