import {
  type CertificateAndKey,
  makeAuthority as makeAnyAuthority,
  makeCertificate,
  type Validity,
} from '#platform/certificates/make-certificate.ts';

/**
 * DER of the name constraints (RFC 5280 section 4.2.1.10): only localhost, 127.0.0.1 and ::1. Somebody who makes the
 * system trust this CA trusts it for this machine alone, whoever gets hold of its key.
 */
const NAME_CONSTRAINTS_OID = '2.5.29.30';
const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  if (content.length > 127) throw new Error('a long form length is not needed here');
  return Buffer.concat([Buffer.of(tag, content.length), content]);
};
const addressWithFullMask = (address: readonly number[]) => Buffer.from([...address, ...address.map(() => 0xff)]);
const NAME_CONSTRAINTS = der(
  0x30,
  der(
    0xa0,
    der(0x30, der(0x82, Buffer.from('localhost'))),
    der(0x30, der(0x87, addressWithFullMask([127, 0, 0, 1]))),
    der(0x30, der(0x87, addressWithFullMask([...Array.from({ length: 15 }, () => 0), 1]))),
  ),
);

/** A new CA for the edge of this machine. */
export const makeAuthority = (validity: Validity): Promise<CertificateAndKey> =>
  makeAnyAuthority({
    ...validity,
    name: 'Gateway development CA',
    critical: { oid: NAME_CONSTRAINTS_OID, der: NAME_CONSTRAINTS },
  });

/** A server certificate for this machine's loopback names, signed by the CA. */
export const makeServerCertificate = (authority: CertificateAndKey, validity: Validity): Promise<CertificateAndKey> =>
  makeCertificate(authority, {
    ...validity,
    subject: 'localhost',
    names: [
      { type: 'dns', value: 'localhost' },
      { type: 'ip', value: '127.0.0.1' },
      { type: 'ip', value: '::1' },
    ],
    uses: ['server'],
  });
