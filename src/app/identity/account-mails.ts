import { formatOneTimeToken } from '#domain/identity/opaque-token.ts';
import type { Mail } from '#ports/mailer.ts';

/**
 * The link to confirm an address. The token stands in the fragment, which browsers neither send nor pass on as a
 * referrer; the page posts it only when a person presses the button, because mail scanners open links.
 */
export function verifyEmailMail(to: string, publicUrl: string, linkSecret: string): Mail {
  const link = `${publicUrl}/v1/auth/verify-email#token=${formatOneTimeToken('verify_email', linkSecret)}`;
  return {
    to,
    subject: 'Confirm your e-mail address',
    text: [
      'Somebody, probably you, signed up with this address.',
      'To confirm it, open this link and press the button within 24 hours:',
      '',
      link,
      '',
      'If it was not you, do nothing: without this link the account cannot be used.',
    ].join('\n'),
  };
}

/** To the owner of an address that somebody signed up with again. */
export function addressTakenMail(to: string, publicUrl: string): Mail {
  return {
    to,
    subject: 'You already have an account',
    text: [
      `Somebody, perhaps you, signed up at ${publicUrl} with this address.`,
      'You already have an account with it. Nothing was changed: your password is the one you had.',
      '',
      'If it was not you, you need not do anything.',
    ].join('\n'),
  };
}
