import { isRecord, listOf, shown } from '../answer.ts';
import type { Command } from '../command.ts';
import { NotSignedInError, RefusedError, UsageError } from '../failures.ts';
import { fields, table } from '../render.ts';
import { signIn } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export const login: Command = {
  name: 'login',
  summary: 'sign in and keep the sign-in for the next commands',
  args: [],
  options: {
    email: { value: 'EMAIL', required: true, help: 'address of the account' },
    'password-stdin': { help: 'read the password from standard input instead of asking' },
  },
  details:
    'Keeps the refresh token in $XDG_CONFIG_HOME/gatewayctl (default ~/.config/gatewayctl), one file per gateway,\n' +
    'readable by you alone. Access tokens are refreshed by themselves.',
  example: 'login --email admin@example.com',
  run: async ({ parsed, terminal, tokens, gateway }) => {
    const email = parsed.required('email');
    const api = await gateway();
    const password = parsed.flag('password-stdin')
      ? await passwordFromInput(terminal)
      : await askPassword(terminal, email);
    await signIn({ gateway: api, store: tokens, email, password, nowMs: Date.now() });
    return {
      json: { url: api.url, email, signed_in: true },
      text: (paint) => `${paint.good('signed in')} at ${api.url} as ${email}\n`,
    };
  },
};

export const logout: Command = {
  name: 'logout',
  summary: 'end the saved sign-in',
  args: [],
  options: {},
  details:
    'Revokes the session at the gateway and forgets it here. It is forgotten here even when the gateway is away.',
  example: 'logout',
  run: async ({ tokens, discover, gateway }) => {
    const { url } = await discover();
    const session = await tokens.load(url);
    if (session === undefined) {
      return { json: { url, signed_out: false }, text: () => `nobody was signed in at ${url}\n` };
    }
    try {
      const api = await gateway();
      await api.call({ endpoint: 'auth.signout' });
    } catch (error) {
      // A session that the gateway no longer knows is what was asked for.
      const ended = error instanceof NotSignedInError || (error instanceof RefusedError && error.status === 401);
      if (!ended) throw error;
    } finally {
      await tokens.remove(url);
    }
    return { json: { url, signed_out: true }, text: () => `signed out at ${url}\n` };
  },
};

export const whoami: Command = {
  name: 'whoami',
  summary: 'show who is signed in and with which roles',
  args: [],
  options: {},
  example: 'whoami',
  run: async ({ gateway }) => {
    const api = await gateway();
    const me = await api.call({ endpoint: 'auth.me' });
    const memberships = listOf(me, 'memberships').filter(isRecord);
    const rows = memberships.map((entry) => [tenantOf(entry), shown(entry, 'role_id')]);
    return {
      json: me,
      text: (paint) =>
        `${fields(
          [
            ['user id', shown(me, 'user_id')],
            ['email', shown(me, 'email')],
            ['gateway', api.url],
          ],
          paint,
        )}\n${table(['TENANT', 'ROLE'], rows, paint)}`,
    };
  },
};

/** The tenant of an assignment or membership; one without a tenant is for the platform. */
export const tenantOf = (entry: Readonly<Record<string, unknown>>): string => {
  const tenant = shown(entry, 'tenant_id');
  return tenant === '-' ? '(platform)' : tenant;
};

/** The password on standard input, without the line end that `echo` adds. @throws UsageError when there is none */
export async function passwordFromInput(terminal: Terminal): Promise<string> {
  const password = (await terminal.readInput()).replace(/\r?\n$/, '');
  if (password === '') throw new UsageError('standard input holds no password');
  return password;
}

async function askPassword(terminal: Terminal, email: string): Promise<string> {
  if (!terminal.interactive)
    throw new UsageError('no terminal to ask for the password: give --password-stdin', 'login');
  return terminal.askSecret(`Password of ${email}: `);
}
