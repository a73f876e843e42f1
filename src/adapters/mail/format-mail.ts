import type { Mail } from '#ports/mailer.ts';

/** Characters of an encoded word's text, so that the whole word stays within 75 (RFC 2047, section 2). */
const ENCODED_WORD_BYTES = 42;

/**
 * A plain-text mail as a message of RFC 5322. Header values are checked or encoded, so no address or subject can add
 * a header or a second recipient. Lines end in CRLF. The body is sent as 8bit UTF-8: a link in it stays as it is.
 * @throws Error when an address holds a control character, white space or a comma.
 */
export function formatMail(
  mail: Mail,
  envelope: { readonly from: string; readonly date: Date; readonly messageId: string },
): string {
  const headers = [
    `Date: ${envelope.date.toUTCString().replace('GMT', '+0000')}`,
    `From: ${checkAddress(envelope.from)}`,
    `To: ${checkAddress(mail.to)}`,
    `Message-ID: <${envelope.messageId}@${envelope.from.slice(envelope.from.lastIndexOf('@') + 1)}>`,
    `Subject: ${encodeHeader(mail.subject)}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    'Auto-Submitted: auto-generated',
  ];
  return `${headers.join('\r\n')}\r\n\r\n${mail.text.replaceAll(/\r\n|\r|\n/g, '\r\n')}\r\n`;
}

function checkAddress(address: string): string {
  if (!/^[\x21-\x2b\x2d-\x7e]+@[\x21-\x2b\x2d-\x7e]+$/.test(address) || /[<>()[\]:;\\"]/.test(address)) {
    throw new Error('a mail address holds a character that does not belong into a header');
  }
  return address;
}

/** Printable ASCII as it is, everything else as encoded words (RFC 2047). */
function encodeHeader(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text) && !text.includes('=?') && text.length <= 900) return text;
  const words: string[] = [];
  let chunk = '';
  for (const character of text.toWellFormed()) {
    if (Buffer.byteLength(chunk + character) > ENCODED_WORD_BYTES) {
      words.push(chunk);
      chunk = '';
    }
    chunk += character;
  }
  words.push(chunk);
  return words.map((word) => `=?UTF-8?B?${Buffer.from(word, 'utf8').toString('base64')}?=`).join('\r\n ');
}
