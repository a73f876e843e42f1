import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { certificateName, type InternalRole, identityOf } from '#domain/internal-identity.ts';
import {
  AUTHORITY_FILES,
  CERTIFICATE_DAYS,
  createAuthority,
  issueCertificate,
  isUsable,
  readFacts,
} from '#platform/certificates/certificate-folder.ts';
import type { InternalTlsFiles } from '#platform/internal-tls/internal-tls.ts';

/** Everything here is on this machine. */
const NAMES = { dns: ['localhost'], ips: ['127.0.0.1'] };

/**
 * Makes the internal CA and a certificate for each role at first use, and renews what is due or does not fit together:
 * the same files as `gatewayctl certs init` and `certs issue` make.
 */
export async function keepInternalCertificates(
  folder: string,
  { roles, now }: { readonly roles: readonly InternalRole[]; readonly now: Date },
): Promise<void> {
  if (!(await isThere(join(folder, AUTHORITY_FILES.certificate)))) await createAuthority(folder, now);
  for (const role of roles) {
    const name = certificateName(role);
    if ((await isUsable(folder, name)) && (await readFacts(join(folder, `${name}.pem`), now)).state === 'valid')
      continue;
    await issueCertificate(folder, { name, identity: identityOf(role), ...NAMES, days: CERTIFICATE_DAYS }, now);
  }
}

/** Where the files of a role are. */
export const internalFiles = (folder: string, role: InternalRole): InternalTlsFiles => ({
  ca: join(folder, AUTHORITY_FILES.certificate),
  certificate: join(folder, `${certificateName(role)}.pem`),
  key: join(folder, `${certificateName(role)}.key`),
});

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
