import type { JsonObject } from './json.ts';
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
