/** An endpoint's address in the one spelling we keep, and how Envoy has to find it. */
export interface Address {
  readonly text: string;
  /** `ip` is served by EDS as it is, `dns` is resolved by Envoy (STRICT_DNS). */
  readonly form: 'ip' | 'dns';
}

const DNS_NAME_MAX_CHARS = 253;
/** Host labels of RFC 1123, with `_` inside because names made by Docker services have it. */
const DNS_LABEL = /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/;
/** One decimal octet without leading zeros: `010` is read as eight by some resolvers and as ten by others. */
const OCTET = /^(0|[1-9]\d{0,2})$/;
const HEX_GROUP = /^[0-9a-f]{1,4}$/;
const V6_GROUPS_COUNT = 8;

/**
 * Reads an IPv4 address (dotted decimal), an IPv6 address (RFC 4291, without zone or brackets; kept in the shortest
 * spelling of RFC 5952) or a DNS name (kept in lower case). Undefined when it is none of them, or is the unspecified
 * address, which no endpoint can have. Needs no lookup: whether the name exists is Envoy's to find out.
 */
export function parseAddress(text: string): Address | undefined {
  const lower = text.toLowerCase();
  if (lower.includes(':')) {
    const groups = parseV6(lower);
    return groups === undefined || groups.every((group) => group === 0)
      ? undefined
      : { text: formatV6(groups), form: 'ip' };
  }
  const octets = parseV4(lower);
  if (octets !== undefined) return octets.every((octet) => octet === 0) ? undefined : { text: lower, form: 'ip' };
  return isDnsName(lower) ? { text: lower, form: 'dns' } : undefined;
}

/** A last label of digits alone is refused: `10.0.0.256` is a mistyped address, not a name (RFC 3696 section 2). */
function isDnsName(text: string): boolean {
  if (text.length > DNS_NAME_MAX_CHARS) return false;
  const labels = text.split('.');
  return labels.every((label) => DNS_LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '');
}

function parseV4(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const octets = parts.map((part) => (OCTET.test(part) ? Number(part) : Number.NaN));
  return octets.every((octet) => octet <= 255) ? octets : undefined;
}

/** The eight groups of an IPv6 address in lower case, or undefined. */
export function parseV6(text: string): readonly number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) => groupsOf(half, index === halves.length - 1));
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === V6_GROUPS_COUNT ? head : undefined;
  if (tail === undefined) return undefined;
  const missing = V6_GROUPS_COUNT - head.length - tail.length;
  return missing < 1 ? undefined : [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

/** The 16-bit groups of one side of `::`; only the very end may be written as an IPv4 address. */
function groupsOf(half: string, atEnd: boolean): readonly number[] | undefined {
  if (half === '') return [];
  const groups: number[] = [];
  const parts = half.split(':');
  for (const [index, part] of parts.entries()) {
    if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const [a, b, c, d] = atEnd && index === parts.length - 1 ? (parseV4(part) ?? []) : [];
    if (a === undefined || b === undefined || c === undefined || d === undefined) return undefined;
    groups.push(a * 256 + b, c * 256 + d);
  }
  return groups;
}

/** RFC 5952 section 4: no leading zeros, the first longest run of two or more zero groups written `::`. */
function formatV6(groups: readonly number[]): string {
  let run = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start += 1) {
    let length = 0;
    while (groups[start + length] === 0) length += 1;
    if (length > run.length) run = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (run.length < 2) return hex.join(':');
  return `${hex.slice(0, run.start).join(':')}::${hex.slice(run.start + run.length).join(':')}`;
}
