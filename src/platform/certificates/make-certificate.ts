// The library registers its parts through reflect-metadata and expects the program to have loaded it.
import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** A certificate and its private key (PKCS #8), both PEM. */
export interface CertificateAndKey {
  readonly certificate: string;
  readonly key: string;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What a certificate is for. */
export interface CertificateRequest extends Validity {
  readonly subject: string;
  readonly names: readonly { readonly type: 'dns' | 'ip' | 'url'; readonly value: string }[];
  readonly uses: readonly ('server' | 'client')[];
}

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;
const CA_USES = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
const EXTENDED_USES = { server: ExtendedKeyUsage.serverAuth, client: ExtendedKeyUsage.clientAuth } as const;

/**
 * A new CA (ECDSA P-256) that signs leaf certificates only. Its name gets random letters: two with one name and different
 * keys confuse clients that know both. `critical`: one more extension, which whoever verifies must understand.
 */
export async function makeAuthority(
  options: Validity & { readonly name: string; readonly critical?: { readonly oid: string; readonly der: Uint8Array } },
): Promise<CertificateAndKey> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    notBefore: options.notBefore,
    notAfter: options.notAfter,
    serialNumber: serialNumber(),
    name: `CN=${options.name} ${randomBytes(4).toString('hex')}`,
    keys,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(CA_USES, true),
      ...(options.critical === undefined ? [] : [new Extension(options.critical.oid, true, options.critical.der)]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

/** A certificate with a new key, signed by the CA. */
export async function makeCertificate(
  authority: CertificateAndKey,
  request: CertificateRequest,
): Promise<CertificateAndKey> {
  const issuer = new X509Certificate(authority.certificate);
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const names: JsonGeneralName[] = request.names.map(({ type, value }) => ({ type, value }));
  const certificate = await X509CertificateGenerator.create({
    notBefore: request.notBefore,
    notAfter: request.notAfter,
    serialNumber: serialNumber(),
    subject: `CN=${request.subject}`,
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(request.uses.map((use) => EXTENDED_USES[use])),
      new SubjectAlternativeNameExtension(names),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

/** With the line end that the library leaves out: files that are joined to one must stay certificates. */
const pemOf = (certificate: X509Certificate): string => `${certificate.toString('pem')}\n`;

/** 127 random bits, so that the number is positive and of one length (RFC 5280 section 4.1.2.2: at most 20 bytes). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const pkcs8 = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', pkcs8, KEY_ALGORITHM, false, ['sign']);
}
