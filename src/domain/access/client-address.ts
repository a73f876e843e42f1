import { parseV6 } from '../routing/address.ts';

/** The groups of an IPv4 address written as IPv6 (RFC 4291, 2.5.5.2). */
const MAPPED = [0, 0, 0, 0, 0, 0xffff] as const;

/**
 * Whom an address stands for: an IPv4 address for itself, an IPv6 address for its /64, the least that one subscriber
 * has, in one spelling. All that cannot be read stand for one.
 */
export function clientOf(address: string): string {
  if (!address.includes(':')) return address === '' ? 'unknown' : address;
  const groups = parseV6(address.toLowerCase());
  if (groups === undefined) return 'unknown';
  if (MAPPED.every((group, index) => groups[index] === group)) {
    return groups
      .slice(MAPPED.length)
      .flatMap((group) => [group >> 8, group & 255])
      .join('.');
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}
