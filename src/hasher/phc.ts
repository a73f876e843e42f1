/** The parameters and content of an Argon2id hash in PHC string form: `$argon2id$v=19$m=..,t=..,p=..$salt$tag`. */
export interface Argon2Hash {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
  readonly salt: Uint8Array;
  readonly tag: Uint8Array;
}

/** Argon2id as OWASP advises for interactive sign-in (Password Storage Cheat Sheet): 19 MiB, 2 passes, 1 lane. */
export const CURRENT = { memoryKiB: 19_456, passes: 2, lanes: 1, saltBytes: 16, tagBytes: 32 } as const;

/** What a stored hash may ask of this process: no record can make one verification cost more. */
const BOUNDS = { memoryKiB: 65_536, passes: 4, lanes: 4, bytes: 64 } as const;

const PHC =
  /^\$argon2id\$v=19\$([a-z]=\d{1,10}(?:,[a-z]=\d{1,10}){2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/**
 * Parses a PHC string, or undefined when it is none we verify (another algorithm, out of bounds, malformed). The
 * settings may come in any order: npm `argon2` writes `m,p,t` where the reference implementation writes `m,t,p`.
 */
export function parsePhc(text: string): Argon2Hash | undefined {
  const parts = PHC.exec(text);
  if (parts === null) return undefined;
  const settings = new Map((parts[1] ?? '').split(',').map((item) => [item.slice(0, 1), Number(item.slice(2))]));
  const memoryKiB = settings.get('m');
  const passes = settings.get('t');
  const lanes = settings.get('p');
  if (memoryKiB === undefined || passes === undefined || lanes === undefined) return undefined;
  const salt = Buffer.from(parts[2] ?? '', 'base64');
  const tag = Buffer.from(parts[3] ?? '', 'base64');
  // RFC 9106, 3.1: at least 8 KiB of memory per lane.
  const inBounds = memoryKiB >= 8 * lanes && memoryKiB <= BOUNDS.memoryKiB && passes >= 1 && passes <= BOUNDS.passes;
  if (!inBounds || lanes < 1 || lanes > BOUNDS.lanes || salt.length > BOUNDS.bytes || tag.length > BOUNDS.bytes) {
    return undefined;
  }
  return { memoryKiB, passes, lanes, salt, tag };
}

/** The settings in the order of the reference implementation. */
export function formatPhc(hash: Argon2Hash): string {
  const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replaceAll('=', '');
  const settings = `m=${hash.memoryKiB},t=${hash.passes},p=${hash.lanes}`;
  return `$argon2id$v=19$${settings}$${encode(hash.salt)}$${encode(hash.tag)}`;
}

/** Whether a hash was made with other parameters than today's: it is made anew at the next sign-in. */
export const isOutdated = (hash: Argon2Hash): boolean =>
  hash.memoryKiB !== CURRENT.memoryKiB ||
  hash.passes !== CURRENT.passes ||
  hash.lanes !== CURRENT.lanes ||
  hash.salt.length < CURRENT.saltBytes ||
  hash.tag.length < CURRENT.tagBytes;
