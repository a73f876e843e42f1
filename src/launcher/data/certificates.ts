import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '#platform/replace-file.ts';

/** The development CA and the server certificate it signed, as files. */
export interface CertificateFiles {
  /** To be trusted by clients (curl --cacert). */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;
const CA_LIFETIME_DAYS = 3_650;
/** Browsers refuse server certificates of more than 398 days. */
const SERVER_LIFETIME_DAYS = 365;
const RENEW_BEFORE_DAYS = 30;
/** Clocks of a host and its virtual machines differ. */
const BACKDATE_MS = 3_600_000;

/**
 * Makes a CA and a server certificate for localhost, 127.0.0.1 and ::1 (ECDSA P-256) at first use, and renews what has
 * less than 30 days left or does not fit together. A renewed server certificate keeps its CA, so that clients which
 * trust that one need no change.
 */
export async function keepCertificates(folder: string, now: Date): Promise<CertificateFiles> {
  const files = {
    ca: join(folder, 'ca.pem'),
    certificate: join(folder, 'server.pem'),
    key: join(folder, 'server.key'),
  };
  const caKeyFile = join(folder, 'ca.key');
  const ca = await readCertificate(files.ca);
  const caFits = ca !== undefined && isFresh(ca, now) && (await keyFits(ca, caKeyFile));
  const server = await readCertificate(files.certificate);
  if (caFits && server !== undefined && isFresh(server, now) && server.checkIssued(ca)) {
    if (await keyFits(server, files.key)) return files;
  }
  // Loaded only when something is to be made: it would cost every warm start 75 ms.
  const { makeAuthority, makeServerCertificate } = await import('./make-certificates.ts');
  if (!caFits) {
    const made = await makeAuthority(validity(now, CA_LIFETIME_DAYS));
    await replaceFile(caKeyFile, made.key);
    await replaceFile(files.ca, made.certificate, 0o644);
  }
  const authority = { certificate: await readFile(files.ca, 'utf8'), key: await readFile(caKeyFile, 'utf8') };
  const made = await makeServerCertificate(authority, validity(now, SERVER_LIFETIME_DAYS));
  await replaceFile(files.key, made.key);
  await replaceFile(files.certificate, made.certificate, 0o644);
  return files;
}

const validity = (now: Date, days: number) => ({
  notBefore: new Date(now.getTime() - BACKDATE_MS),
  notAfter: new Date(now.getTime() + days * DAY_MS),
});

const isFresh = (certificate: X509Certificate, now: Date): boolean =>
  certificate.validFromDate.getTime() <= now.getTime() &&
  certificate.validToDate.getTime() - now.getTime() >= RENEW_BEFORE_DAYS * DAY_MS;

async function readCertificate(file: string): Promise<X509Certificate | undefined> {
  try {
    return new X509Certificate(await readFile(file));
  } catch {
    // Missing or damaged: either way a new one is made.
    return undefined;
  }
}

async function keyFits(certificate: X509Certificate, keyFile: string): Promise<boolean> {
  try {
    return certificate.checkPrivateKey(createPrivateKey(await readFile(keyFile)));
  } catch {
    return false;
  }
}
