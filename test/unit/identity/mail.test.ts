import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatMail } from '#adapters/mail/format-mail.ts';
import { createMailFolder } from '#adapters/mail/mail-folder.ts';
import { addressTakenMail, verifyEmailMail } from '#app/identity/account-mails.ts';
import { parseEmail } from '#domain/identity/email.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const ENVELOPE = { from: 'no-reply@gateway.example', date: new Date('2026-03-01T12:00:00Z'), messageId: 'abc' };

describe('formatMail', () => {
  it('is a message of RFC 5322 with the link as it is', () => {
    const link = verifyEmailMail('ann@example.org', 'https://gateway.example', 'S'.repeat(43));
    const text = formatMail(link, ENVELOPE);
    expect(text).toContain('Date: Sun, 01 Mar 2026 12:00:00 +0000\r\n');
    expect(text).toContain('\r\nFrom: no-reply@gateway.example\r\nTo: ann@example.org\r\n');
    expect(text).toContain('\r\nMessage-ID: <abc@gateway.example>\r\nSubject: Confirm your e-mail address\r\n');
    expect(text).toContain(`\r\nhttps://gateway.example/v1/auth/verify-email#token=ev1.${'S'.repeat(43)}\r\n`);
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThan(998);
  });

  it.each(['eve@example.org\r\nBcc: all@example.org', 'a@b.org,c@d.org', 'a b@c.org', '<a@b.org>', 'nobody', ''])(
    'refuses the address %j',
    (to) => {
      expect(() => formatMail({ to, subject: 's', text: 't' }, ENVELOPE)).toThrow(/does not belong into a header/);
    },
  );

  it('takes every address that can sign up, and adds no header whatever the texts are', () => {
    const header = fc.string({ unit: 'binary', maxLength: 300 });
    fc.assert(
      fc.property(fc.emailAddress(), header, header, (to, subject, body) => {
        const email = parseEmail(to);
        if (!email.ok) return;
        const text = formatMail({ to: email.value.address, subject, text: body }, ENVELOPE);
        const head = text.slice(0, text.indexOf('\r\n\r\n')).replaceAll('\r\n ', '');
        expect(head.split('\r\n').map((line) => line.slice(0, line.indexOf(':')))).toEqual([
          'Date',
          'From',
          'To',
          'Message-ID',
          'Subject',
          'MIME-Version',
          'Content-Type',
          'Content-Transfer-Encoding',
          'Auto-Submitted',
        ]);
        expect(head).toMatch(/^[\x20-\x7e\r\n]*$/);
      }),
    );
  });

  it('encodes a subject that is not ASCII in words that can be put together again', () => {
    const subject = 'Bestätigung für die Anmeldung bei einem Dienst mit sehr langem Namen 🔑🔑🔑🔑🔑🔑🔑🔑';
    const text = formatMail({ to: 'a@b.org', subject, text: '' }, ENVELOPE);
    const words = [...text.matchAll(/=\?UTF-8\?B\?([A-Za-z0-9+/=]+)\?=/g)];
    for (const word of words) expect(word[0].length).toBeLessThanOrEqual(75);
    expect(words.map((word) => Buffer.from(word[1] ?? '', 'base64').toString('utf8')).join('')).toBe(subject);
  });
});

describe('the mail folder', () => {
  const quiet = { error: () => undefined };
  it('holds one whole file per mail, in order, for its owner only', async () => {
    await using folder = await tempFolder();
    const directory = join(folder.path, 'mail');
    const mailer = createMailFolder({ directory, from: ENVELOPE.from, now: () => ENVELOPE.date, log: quiet });
    for (let index = 0; index < 20; index += 1)
      mailer.send(addressTakenMail(`user${index}@example.org`, 'https://g.example'));
    await mailer[Symbol.asyncDispose]();
    const names = (await readdir(directory)).sort();
    expect(names).toHaveLength(20);
    for (const [index, name] of names.entries()) {
      expect(name).toMatch(/^20260301T120000000Z-\d{6}-[0-9a-f]{24}\.eml$/);
      expect(await readFile(join(directory, name), 'utf8')).toContain(`\r\nTo: user${index}@example.org\r\n`);
      expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
    }
  });

  it('says that a mail was lost, and sends the next', async () => {
    await using folder = await tempFolder();
    const blocked = join(folder.path, 'file');
    await writeFile(blocked, '');
    const problems: unknown[] = [];
    const log = { error: (...told: readonly unknown[]) => void problems.push(told) };
    const mailer = createMailFolder({ directory: blocked, from: ENVELOPE.from, now: () => ENVELOPE.date, log });
    for (const to of ['a@example.org', 'b@example.org']) mailer.send({ to, subject: 's', text: 'secret text' });
    await mailer[Symbol.asyncDispose]();
    expect(problems).toHaveLength(2);
    expect(JSON.stringify(problems)).not.toContain('secret text');
  });
});
