import { hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The keys derived from the master key, one per use, so that no two uses can be played against each other. */
export interface DerivedKeys {
  /** Seals what must be read again (AES-256-GCM). */
  readonly seal: Uint8Array;
  /** Makes store keys of e-mail addresses (HMAC-SHA-256). */
  readonly email: Uint8Array;
  /** Makes and recognises refresh secrets (HMAC-SHA-256). */
  readonly refresh: Uint8Array;
}

const MASTER_KEY_BYTES = 32;

/** Reads the master key file: 32 bytes in base64url on one line. @throws Error with readable text */
export function readMasterKeyFile(path: string): Uint8Array {
  return parseMasterKey(readFileSync(path, 'utf8'), path);
}

/** @throws Error when the text is not 32 bytes in base64url; the text itself is never part of the message. */
export function parseMasterKey(text: string, source: string): Uint8Array {
  const trimmed = text.trim();
  const bytes = Buffer.from(trimmed, 'base64url');
  if (bytes.length !== MASTER_KEY_BYTES || bytes.toString('base64url') !== trimmed) {
    throw new Error(`${source} must hold ${MASTER_KEY_BYTES} bytes in base64url without padding`);
  }
  return new Uint8Array(bytes);
}

/** HKDF-SHA-256 (RFC 5869) with one `info` per use. Changing an `info` makes all data of that use unreadable. */
export function deriveKeys(masterKey: Uint8Array): DerivedKeys {
  const derive = (info: string) =>
    new Uint8Array(hkdfSync('sha256', masterKey, new Uint8Array(0), info, MASTER_KEY_BYTES));
  return {
    seal: derive('gateway/seal/v1'),
    email: derive('gateway/email-index/v1'),
    refresh: derive('gateway/refresh-token/v1'),
  };
}
