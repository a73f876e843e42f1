/**
 * One entry of Node's text of a subjectAltName (https://nodejs.org/api/tls.html#certificate-object): type, colon, value;
 * a value with characters that could be mistaken for another entry is a JSON string.
 */
const ENTRY = /([A-Za-z0-9 ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;

/** A name in a certificate, its type as Node writes it: `URI`, `DNS`, `IP Address`. */
export interface AlternativeName {
  readonly type: string;
  readonly value: string;
}

/**
 * The names in Node's text of a subjectAltName. Quoted values are left out: no name of ours has a character that needs
 * quotes. A text of another form has no names.
 */
export function alternativeNames(subjectAltName: string | undefined): readonly AlternativeName[] {
  if (subjectAltName === undefined) return [];
  const found: AlternativeName[] = [];
  ENTRY.lastIndex = 0;
  while (ENTRY.lastIndex < subjectAltName.length) {
    const [, type, value] = ENTRY.exec(subjectAltName) ?? [];
    if (type === undefined || value === undefined) return [];
    if (!value.startsWith('"')) found.push({ type, value });
  }
  return found;
}

/** The URI SANs: who the certificate says its owner is. */
export const uriIdentities = (subjectAltName: string | undefined): readonly string[] =>
  alternativeNames(subjectAltName).flatMap(({ type, value }) => (type === 'URI' ? [value] : []));

/**
 * Why a certificate is not that of one of the expected identities, or undefined when it is. Exactly one URI SAN counts:
 * a certificate with several would be several roles at once (X509-SVID section 2 demands one).
 */
export function strangerReason(subjectAltName: string | undefined, expected: readonly string[]): string | undefined {
  const [identity, ...more] = uriIdentities(subjectAltName);
  if (identity === undefined) return 'its certificate states no identity';
  if (more.length > 0) return 'its certificate states more than one identity';
  return expected.includes(identity) ? undefined : `its certificate is that of ${identity}`;
}
