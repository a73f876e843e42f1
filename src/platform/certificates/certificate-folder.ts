import { createPrivateKey, X509Certificate } from 'node:crypto';
import { access, chmod, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { alternativeNames } from '../internal-tls/peer-identity.ts';
import { replaceFile } from '../replace-file.ts';

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3_650;
/** Short, because they are renewed by a command and taken over without a restart. */
export const CERTIFICATE_DAYS = 90;
/** The last third of a life is for renewing. */
const RENEWAL_SHARE = 1 / 3;
/** Clocks of two machines differ. */
const BACKDATE_MS = 3_600_000;
const PUBLIC_MODE = 0o644;

/** Files of the CA inside its folder. `ca.pem` goes to every program, `ca.key` to none. */
export const AUTHORITY_FILES = { certificate: 'ca.pem', key: 'ca.key' } as const;

/** The folder cannot be worked with, for a reason a person can do something about. */
export class CertificateFolderError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CertificateFolderError';
  }
}

/** What a certificate is to be issued for. */
export interface Issue {
  /** File name without ending: `<name>.pem` and `<name>.key`. */
  readonly name: string;
  /** Its one URI SAN. */
  readonly identity: string;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
  readonly days: number;
}

/** What is known of a certificate file. */
export interface CertificateFacts {
  readonly file: string;
  readonly isAuthority: boolean;
  readonly subject: string;
  readonly issuer: string;
  readonly identity: string | undefined;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** `due`: valid, but in the last third of its life. */
  readonly state: 'valid' | 'due' | 'expired' | 'not_yet_valid';
}

/** Makes a CA in the folder. @throws CertificateFolderError when there is one */
export async function createAuthority(folder: string, now: Date): Promise<CertificateFacts> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const [certificate, key] = [join(folder, AUTHORITY_FILES.certificate), join(folder, AUTHORITY_FILES.key)];
  for (const file of [certificate, key]) {
    if (await exists(file)) throw new CertificateFolderError(`${file} exists: a new CA would cut off all who trust it`);
  }
  const { makeAuthority } = await import('./make-certificate.ts');
  const made = await makeAuthority({ ...validity(now, AUTHORITY_DAYS), name: 'Gateway internal CA' });
  await replaceFile(key, made.key);
  await replaceFile(certificate, made.certificate, PUBLIC_MODE);
  return readFacts(certificate, now);
}

/**
 * Makes a certificate with a new key, signed by the folder's CA; one of that name is replaced. The key comes first: who
 * watches the files takes neither over before both fit together.
 * @throws CertificateFolderError without a usable CA
 */
export async function issueCertificate(folder: string, issue: Issue, now: Date): Promise<CertificateFacts> {
  const authority = await readAuthority(folder);
  const { makeCertificate } = await import('./make-certificate.ts');
  const made = await makeCertificate(authority, {
    ...validity(now, issue.days),
    subject: issue.name,
    names: [
      { type: 'url', value: issue.identity },
      ...issue.dns.map((value) => ({ type: 'dns' as const, value })),
      ...issue.ips.map((value) => ({ type: 'ip' as const, value })),
    ],
    // Every program is a server to one and a client to another.
    uses: ['server', 'client'],
  });
  const file = join(folder, `${issue.name}.pem`);
  await replaceFile(join(folder, `${issue.name}.key`), made.key);
  await replaceFile(file, made.certificate, PUBLIC_MODE);
  return readFacts(file, now);
}

/** Issues the certificates of a folder again that are due, or all; names and length of life stay. */
export async function renewCertificates(
  folder: string,
  options: { readonly all: boolean; readonly now: Date },
): Promise<readonly CertificateFacts[]> {
  const renewed: CertificateFacts[] = [];
  for (const facts of await readFolder(folder, options.now)) {
    if (facts.isAuthority || (facts.state === 'valid' && !options.all) || facts.identity === undefined) continue;
    const name = nameOf(facts.file);
    const days = Math.max(1, Math.round((facts.notAfter.getTime() - facts.notBefore.getTime()) / DAY_MS));
    const issue = { name, identity: facts.identity, dns: facts.dns, ips: facts.ips, days };
    renewed.push(await issueCertificate(folder, issue, options.now));
  }
  return renewed;
}

/** Every certificate of a folder, the CA first. @throws CertificateFolderError when one cannot be read */
export async function readFolder(folder: string, now: Date): Promise<readonly CertificateFacts[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.pem')).toSorted();
  const facts = await Promise.all(names.map((name) => readFacts(join(folder, name), now)));
  return facts.toSorted((left, right) => Number(right.isAuthority) - Number(left.isAuthority));
}

/** Reads one certificate file, the first certificate in it. @throws CertificateFolderError when it is none */
export async function readFacts(file: string, now: Date): Promise<CertificateFacts> {
  const certificate = await readCertificate(file);
  const names = alternativeNames(certificate.subjectAltName);
  const valuesOf = (wanted: string) => names.flatMap(({ type, value }) => (type === wanted ? [value] : []));
  return {
    file,
    isAuthority: certificate.ca,
    subject: certificate.subject,
    issuer: certificate.issuer,
    identity: valuesOf('URI')[0],
    dns: valuesOf('DNS'),
    ips: valuesOf('IP Address'),
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
    state: stateOf(certificate, now),
  };
}

/** Whether a certificate of the folder is there, was issued by its CA and goes with its key. */
export async function isUsable(folder: string, name: string): Promise<boolean> {
  try {
    const [authority, own] = await Promise.all([
      readCertificate(join(folder, AUTHORITY_FILES.certificate)),
      readCertificate(join(folder, `${name}.pem`)),
    ]);
    const key = createPrivateKey(await readFile(join(folder, `${name}.key`)));
    return own.checkIssued(authority) && own.verify(authority.publicKey) && own.checkPrivateKey(key);
  } catch {
    return false;
  }
}

function stateOf(certificate: X509Certificate, now: Date): CertificateFacts['state'] {
  const [from, to, at] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime(), now.getTime()];
  if (at < from) return 'not_yet_valid';
  if (at > to) return 'expired';
  return to - at < (to - from) * RENEWAL_SHARE ? 'due' : 'valid';
}

async function readAuthority(folder: string): Promise<{ readonly certificate: string; readonly key: string }> {
  const [certificateFile, keyFile] = [join(folder, AUTHORITY_FILES.certificate), join(folder, AUTHORITY_FILES.key)];
  const certificate = await readCertificate(certificateFile);
  const key = await readFile(keyFile, 'utf8').catch((cause: unknown) => {
    throw new CertificateFolderError(`${keyFile} cannot be read: it is the key that signs`, { cause });
  });
  if (!certificate.checkPrivateKey(createPrivateKey(key))) {
    throw new CertificateFolderError(`${keyFile} is not the key of ${certificateFile}`);
  }
  return { certificate: certificate.toString(), key };
}

async function readCertificate(file: string): Promise<X509Certificate> {
  try {
    return new X509Certificate(await readFile(file));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CertificateFolderError(`${file} is no certificate that can be read: ${why}`, { cause });
  }
}

const validity = (now: Date, days: number) => ({
  notBefore: new Date(now.getTime() - BACKDATE_MS),
  notAfter: new Date(now.getTime() + days * DAY_MS),
});

const nameOf = (file: string): string => file.slice(file.lastIndexOf('/') + 1, -'.pem'.length);

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
