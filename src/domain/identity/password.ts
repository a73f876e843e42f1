import type { FieldError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../result.ts';
import { COMMON_PASSWORDS } from './common-passwords.ts';
import type { Email } from './email.ts';

/** Words of the product that make a password guessable when the whole of it is made of them. */
const PRODUCT_WORDS = ['gateway', 'gatewayctl'] as const;
/** A context word shorter than this makes no password of the least length guessable. */
const CONTEXT_WORD_MIN_CHARS = 4;

const mistake = (pointer: string, code: string, detail: string): FieldError => ({ pointer, code, detail });

/**
 * The form of a password that is hashed: NFKC, so that one password typed on two keyboards is one password
 * (NIST SP 800-63B-4, 3.1.1.2). Too long is refused, never truncated. Used at sign-in, where no other rule holds.
 */
export function normalisePassword(text: string, pointer = '/password'): Result<string, FieldError> {
  // The length before normalising bounds the work: NFKC makes one character up to 18.
  if (text.length > LIMITS.passwordMaxBytes) return fail(tooLong(pointer));
  const normal = text.normalize('NFKC');
  if (new TextEncoder().encode(normal).length > LIMITS.passwordMaxBytes) return fail(tooLong(pointer));
  return ok(normal);
}

const tooLong = (pointer: string) =>
  mistake(pointer, 'too_long', `must have at most ${LIMITS.passwordMaxBytes} bytes in UTF-8`);

/**
 * Checks a password somebody chooses: at least `passwordMinChars` code points, none of the most common ones, and not
 * made of the product's name or the owner's address. No composition rules, on purpose (NIST SP 800-63B-4, 3.1.1.2).
 * @returns the normalised password to hash.
 */
export function checkNewPassword(text: string, owner: Email, pointer = '/password'): Result<string, FieldError> {
  const normal = normalisePassword(text, pointer);
  if (!normal.ok) return normal;
  const password = normal.value;
  // A lone surrogate has no UTF-8 form: two such passwords would hash alike.
  if (/\p{Surrogate}/u.test(password)) return fail(mistake(pointer, 'malformed', 'must be well-formed Unicode text'));
  if ([...password].length < LIMITS.passwordMinChars) {
    return fail(mistake(pointer, 'too_short', `must have at least ${LIMITS.passwordMinChars} characters`));
  }
  const folded = password.toLowerCase();
  if (COMMON_PASSWORDS.has(folded) || isOneRepeated(folded)) {
    return fail(mistake(pointer, 'too_common', 'is among the passwords that attackers try first'));
  }
  if (isMadeOfContext(folded, owner)) {
    return fail(
      mistake(pointer, 'too_guessable', 'must not be made of your e-mail address or the name of the product'),
    );
  }
  return ok(password);
}

const isOneRepeated = (folded: string): boolean => new Set(folded).size === 1;

/** Whether nothing but digits and punctuation is left when the context words are taken out. */
function isMadeOfContext(folded: string, owner: Email): boolean {
  const words = [...PRODUCT_WORDS, owner.canonical, ...owner.canonical.split(/[@.+_-]/)]
    .filter((word) => word.length >= CONTEXT_WORD_MIN_CHARS)
    .sort((left, right) => right.length - left.length);
  const rest = words.reduce((text, word) => text.replaceAll(word, ''), folded);
  return rest !== folded && !/\p{L}/u.test(rest) && [...rest].length <= CONTEXT_WORD_MIN_CHARS;
}
