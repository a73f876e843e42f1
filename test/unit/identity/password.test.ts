import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMMON_PASSWORDS } from '#domain/identity/common-passwords.ts';
import { parseEmail } from '#domain/identity/email.ts';
import { checkNewPassword, normalisePassword } from '#domain/identity/password.ts';
import { LIMITS } from '#domain/limits.ts';

const OWNER = { address: 'ann.smith@example.org', canonical: 'ann.smith@example.org' };
const codeOf = (password: string) => {
  const checked = checkNewPassword(password, OWNER);
  return checked.ok ? 'ok' : checked.error.code;
};

describe('checkNewPassword', () => {
  it.each([
    ['violet-kettle-orbit', 'ok'],
    ['1234567', 'too_short'],
    ['päß🔑wör', 'too_short'],
    ['päß🔑wörd', 'ok'],
    ['Password', 'too_common'],
    ['QWERTYUIOP', 'too_common'],
    ['zzzzzzzzzzzz', 'too_common'],
    ['annsmith1!', 'ok'],
    ['ann.smith@example.org', 'too_guessable'],
    ['smith2026', 'too_guessable'],
    ['Gateway-123', 'too_guessable'],
    ['gateway-to-the-stars', 'ok'],
    [`${'x'.repeat(1_023)}yz`, 'too_long'],
    ['abcdefg\ud800', 'malformed'],
  ])('%j is %s', (password, code) => {
    expect(codeOf(password)).toBe(code);
  });

  it('counts code points, not UTF-16 units, and bytes in UTF-8', () => {
    expect(codeOf('🔑🔒🗝🔓🔏🔐🧷')).toBe('too_short');
    expect(codeOf('🔑🔒🗝🔓🔏🔐🧷🛡')).toBe('ok');
    expect(codeOf(`${'é'.repeat(500)}x`)).toBe('ok');
    expect(codeOf(`${'é'.repeat(512)}x`)).toBe('too_long');
  });

  it('lists only words that the length rule lets through, in lower case', () => {
    expect(COMMON_PASSWORDS.size).toBeGreaterThan(300);
    for (const word of COMMON_PASSWORDS)
      expect([word, word.length >= 8, word]).toEqual([word, true, word.toLowerCase()]);
  });

  it('never throws, never truncates, and normalises to one form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 1_200 }), (text) => {
        const checked = checkNewPassword(text, OWNER);
        if (!checked.ok) return;
        expect(checked.value).toBe(text.normalize('NFKC'));
        expect(Buffer.byteLength(checked.value)).toBeLessThanOrEqual(LIMITS.passwordMaxBytes);
        expect([...checked.value].length).toBeGreaterThanOrEqual(LIMITS.passwordMinChars);
        // What is hashed at sign-in is what was hashed at sign-up, however it was typed.
        for (const form of ['NFC', 'NFD'] as const) {
          const again = normalisePassword(text.normalize(form));
          if (again.ok) expect(again.value).toBe(checked.value);
        }
      }),
    );
  });
});

describe('parseEmail', () => {
  it.each([
    [' Ann.Smith@Example.ORG ', 'Ann.Smith@example.org', 'ann.smith@example.org'],
    ["o'neil+tag@mail.example.co", "o'neil+tag@mail.example.co", "o'neil+tag@mail.example.co"],
    ['a@xn--bcher-kva.example', 'a@xn--bcher-kva.example', 'a@xn--bcher-kva.example'],
  ])('reads %j', (text, address, canonical) => {
    expect(parseEmail(text)).toEqual({ ok: true, value: { address, canonical } });
  });

  it.each([
    '',
    'ann',
    '@example.org',
    'ann@',
    'ann@example',
    'ann@@example.org',
    'ann smith@example.org',
    '"ann smith"@example.org',
    'ann@example.org\r\nBcc: eve@example.org',
    'ann@exa mple.org',
    'ann@-example.org',
    'ann@example..org',
    '.ann@example.org',
    'ann.@example.org',
    'ann,eve@example.org',
    'ännä@example.org',
    'ann@[127.0.0.1]',
    `${'a'.repeat(65)}@example.org`,
    `a@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.${'e'.repeat(60)}.${'f'.repeat(60)}`,
  ])('refuses %j', (text) => {
    expect(parseEmail(text).ok).toBe(false);
  });

  it('is stable: what it gives it reads again, and gives nothing that belongs into no header', () => {
    fc.assert(
      fc.property(fc.oneof(fc.emailAddress(), fc.string({ unit: 'binary' })), (text) => {
        const parsed = parseEmail(text);
        if (!parsed.ok) return;
        expect(parseEmail(parsed.value.address)).toEqual(parsed);
        expect(parsed.value.address).toMatch(/^[\x21-\x7e]+$/);
        expect(parsed.value.address).not.toMatch(/[,<>()\s]/);
        expect(parsed.value.canonical).toBe(parsed.value.address.toLowerCase());
      }),
    );
  });
});
