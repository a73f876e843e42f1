import { isIP, isIPv4, isIPv6 } from 'node:net';

/**
 * The named text formats of protoc-gen-validate (`StringRules.well_known`). Header names and values are those of
 * RFC 9110 section 5 with the pseudo-header colon, or, when `strict` is off, anything that cannot split a header.
 */
export const TEXT_FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  email: isEmail,
  hostname: isHostname,
  ip: (text) => isIP(text) !== 0,
  ipv4: isIPv4,
  ipv6: isIPv6,
  uri: (text) => isUriReference(text) && /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text),
  uri_ref: (text) => isUriReference(text),
  address: (text) => isHostname(text) || isIP(text) !== 0,
  uuid: (text) => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
};

/** `KnownRegex` of validate.proto by number; 0 (UNKNOWN) says nothing. Not strict, a header name may even be empty. */
export function headerFormat(known: number, strict: boolean): ((text: string) => boolean) | undefined {
  if (known === 1) return strict ? isHeaderName : (text) => !splitsHeaders(text);
  if (known === 2) return strict ? isHeaderValue : (text) => !splitsHeaders(text);
  return undefined;
}

const isHeaderName = (text: string): boolean => /^:?[0-9a-zA-Z!#$%&'*+,\-.^_|~`]+$/.test(text);

/** No control character but the tab (9), and no DEL (127). */
const isHeaderValue = (text: string): boolean =>
  [...text].every((character) => character === '\t' || (character >= ' ' && character !== '\x7f'));

const splitsHeaders = (text: string): boolean => ['\0', '\n', '\r'].some((character) => text.includes(character));

/** RFC 1034 host name, a final dot allowed. */
function isHostname(text: string): boolean {
  const labels = text.replace(/\.$/, '').split('.');
  return text.length <= 253 && labels.every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label));
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, Math.max(at, 0));
  return (
    text.length <= 254 &&
    /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}$/.test(local) &&
    !/^\.|\.\.|\.$/.test(local) &&
    isHostname(text.slice(at + 1))
  );
}

/** RFC 3986 characters with well-formed escapes. */
const isUriReference = (text: string): boolean =>
  /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*$/.test(text);
