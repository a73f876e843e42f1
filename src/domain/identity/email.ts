import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../result.ts';

/** An e-mail address as we send mail to it, and the form that decides whether two are the same account. */
export interface Email {
  /** Trimmed, domain in lower case: the local part is kept as typed, because some servers distinguish its case. */
  readonly address: string;
  /** Wholly lower case: `Ann@x.org` and `ann@x.org` are one account. */
  readonly canonical: string;
}

const LOCAL_MAX_CHARS = 64;
/** RFC 5321 dot-string: no quoted local parts, which nobody uses and which carry header tricks. */
const LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
/** Host name labels of RFC 1123, at least two; internationalised domains arrive in their `xn--` form. */
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Reads an e-mail address of RFC 5321 in its ASCII form. The error is a sentence for the caller. */
export function parseEmail(text: string): Result<Email, string> {
  const trimmed = text.trim();
  if (trimmed.length > LIMITS.emailMaxChars) return fail(`must have at most ${LIMITS.emailMaxChars} characters`);
  const at = trimmed.lastIndexOf('@');
  const local = trimmed.slice(0, Math.max(at, 0));
  const domain = trimmed.slice(at + 1).toLowerCase();
  if (at < 1 || local.length > LOCAL_MAX_CHARS || !LOCAL.test(local) || !DOMAIN.test(domain)) {
    return fail('must be an e-mail address like name@example.org');
  }
  const address = `${local}@${domain}`;
  return ok({ address, canonical: address.toLowerCase() });
}
