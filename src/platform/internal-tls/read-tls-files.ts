import type { EnvReader } from '../env.ts';
import type { InternalTlsFiles } from './internal-tls.ts';

/**
 * `GATEWAY_INTERNAL_CA_FILE`, `_CERT_FILE` and `_KEY_FILE`: all three, which switch TLS on for the internal connections
 * of this program, or none of them. Part of them is a mistake, so that a misspelt name never means "in clear".
 */
export function readInternalTlsFiles(read: EnvReader): InternalTlsFiles | undefined {
  const ca = read.optional('GATEWAY_INTERNAL_CA_FILE');
  const certificate = read.optional('GATEWAY_INTERNAL_CERT_FILE');
  const key = read.optional('GATEWAY_INTERNAL_KEY_FILE');
  if (ca !== undefined && certificate !== undefined && key !== undefined) return { ca, certificate, key };
  if (ca !== undefined || certificate !== undefined || key !== undefined) {
    read.mistake('GATEWAY_INTERNAL_CA_FILE, GATEWAY_INTERNAL_CERT_FILE and GATEWAY_INTERNAL_KEY_FILE belong together');
  }
  return undefined;
}
