import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InternalRole } from '#domain/internal-identity.ts';
import { internalFiles, keepInternalCertificates } from '../../../src/launcher/data/internal-certificates.ts';
import { renderSecret } from '../../../src/launcher/envoy-bootstrap.ts';

const ENVOY = new URL('../../../envoy/', import.meta.url);

/** Makes the internal CA and certificates of these roles in a folder. */
export const makeInternalCertificates = (folder: string, roles: readonly InternalRole[]): Promise<void> =>
  keepInternalCertificates(folder, { roles, now: new Date() });

/** Puts Envoy's certificate and its SDS files into a folder, as the launcher does. */
export async function writeEnvoySecrets(folder: string): Promise<void> {
  await makeInternalCertificates(folder, ['envoy']);
  for (const name of ['sds-identity.yaml', 'sds-trust.yaml']) {
    const secret = renderSecret(await readFile(new URL(name, ENVOY), 'utf8'), internalFiles(folder, 'envoy'));
    await writeFile(join(folder, name), secret);
  }
}
