import { createHash } from 'node:crypto';
import type { ApiAnswer } from '../http/api-route.ts';

/**
 * Posts the token of the fragment when the button is pressed. Opening the page changes nothing: mail scanners open
 * links, and a confirmation must be the act of a person.
 */
const SCRIPT = `
const button = document.querySelector('button');
const message = document.querySelector('p');
const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
history.replaceState(null, '', location.pathname);
button.addEventListener('click', async () => {
  button.disabled = true;
  try {
    const answer = await fetch(location.pathname, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token }),
    });
    message.textContent = answer.ok
      ? 'Your address is confirmed. You can sign in now.'
      : answer.status === 400
        ? 'This link was used already or has expired. Sign up again to get a new one.'
        : 'This does not work at the moment. Try again in a minute.';
    button.disabled = answer.ok || answer.status === 400;
  } catch {
    message.textContent = 'The gateway cannot be reached. Try again in a minute.';
    button.disabled = false;
  }
});
`;

const PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Confirm your address</title></head>
<body><h1>Confirm your e-mail address</h1><p role="status">Press the button to confirm it.</p>
<button type="button">Confirm</button><script>${SCRIPT}</script></body>
</html>
`;

/** Only this script may run, and it may talk to this origin only. */
const POLICY = [
  "default-src 'none'",
  `script-src 'sha256-${createHash('sha256').update(SCRIPT, 'utf8').digest('base64')}'`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page behind the link in the mail; the same for everybody. */
export const verifyEmailPage = (): ApiAnswer => ({
  status: 200,
  body: PAGE,
  headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': POLICY },
});
