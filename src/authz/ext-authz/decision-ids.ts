import { randomFillSync } from 'node:crypto';

const ALPHABET = Buffer.from('abcdefghijklmnopqrstuvwxyz234567', 'latin1');
const PREFIX = 'dec_';
const ID_CHARS = 26;
const POOL_BYTES = 4_096;

/**
 * Makes decision ids: `dec_` and 26 lower-case base32 characters. Random bytes are fetched in blocks, because one call
 * per request would cost more than the decision. Of each byte five bits are used, 130 in all.
 */
export function createDecisionIds(): () => string {
  const pool = Buffer.alloc(POOL_BYTES);
  const text = Buffer.alloc(PREFIX.length + ID_CHARS);
  text.write(PREFIX, 'latin1');
  let at = POOL_BYTES;
  return () => {
    if (at + ID_CHARS > POOL_BYTES) {
      randomFillSync(pool);
      at = 0;
    }
    for (let index = 0; index < ID_CHARS; index += 1) {
      text[PREFIX.length + index] = ALPHABET[(pool[at + index] ?? 0) & 31] ?? 0;
    }
    at += ID_CHARS;
    return text.toString('latin1');
  };
}
