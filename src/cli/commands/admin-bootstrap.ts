import { randomBytes } from 'node:crypto';
import { textOf } from '../answer.ts';
import type { Command, CommandContext } from '../command.ts';
import { failureAsText, UnreachableError, UsageError } from '../failures.ts';
import type { Gateway } from '../gateway-client.ts';
import { fields, type Paint } from '../render.ts';
import { signIn } from '../session.ts';
import { passwordFromInput } from './login.ts';

/** 144 bits, 24 characters: cannot be guessed and passes every password rule. */
const PASSWORD_BYTES = 18;

export const adminBootstrap: Command = {
  name: 'admin bootstrap',
  summary: 'make the first platform admin and sign in as it',
  args: [],
  options: {
    email: { value: 'EMAIL', required: true, help: 'address of the admin' },
    'password-stdin': {
      help: 'read the password from standard input (default: a strong one is made and printed once)',
    },
    token: { value: 'TOKEN', help: 'the bootstrap token (default: the one in run.json of the development gateway)' },
  },
  details:
    'Works once per gateway. A password that gatewayctl makes is shown this one time and kept nowhere; the sign-in\n' +
    'itself is saved, so the next command works.',
  example: 'admin bootstrap --email admin@example.com',
  run: async (context) => {
    const email = context.parsed.required('email');
    const { url, bootstrapToken } = await context.discover();
    const token = context.parsed.text('token') ?? bootstrapToken;
    if (token === undefined) {
      throw new UsageError(`--token is missing: no run.json holds the bootstrap token of ${url}`, 'admin bootstrap');
    }
    const given = context.parsed.flag('password-stdin') ? await passwordFromInput(context.terminal) : undefined;
    const password = given ?? randomBytes(PASSWORD_BYTES).toString('base64url');
    const gateway = await context.gateway();
    const userId = await bootstrap(gateway, { email, token, password, made: given === undefined });
    const failure = await trySignIn(context, gateway, email, password);
    return {
      json: {
        user_id: userId ?? null,
        email,
        ...(given === undefined ? { password } : {}),
        signed_in: failure === undefined,
      },
      text: (paint) => report(paint, { email, userId, password: given === undefined ? password : undefined, failure }),
      exitCode: failure === undefined ? 0 : 1,
    };
  },
};

async function bootstrap(
  gateway: Gateway,
  admin: { readonly email: string; readonly token: string; readonly password: string; readonly made: boolean },
): Promise<string | undefined> {
  const { email, token, password, made } = admin;
  try {
    const body = { bootstrap_token: token, email, password };
    return textOf(await gateway.call({ endpoint: 'auth.bootstrap', body }), 'user_id');
  } catch (error) {
    // The answer may be lost although the account was made; a password nobody knows would lock everybody out.
    if (!(error instanceof UnreachableError) || !made) throw error;
    throw new UnreachableError(`${error.message}\nShould the account exist all the same, its password is ${password}`, {
      cause: error,
    });
  }
}

/** The account stands even when signing in fails, so its password must be printed either way. */
async function trySignIn(context: CommandContext, gateway: Gateway, email: string, password: string): Promise<unknown> {
  try {
    await signIn({ gateway, store: context.tokens, email, password, nowMs: Date.now() });
    return undefined;
  } catch (error) {
    return error;
  }
}

function report(
  paint: Paint,
  result: {
    readonly email: string;
    readonly userId: string | undefined;
    readonly password: string | undefined;
    readonly failure: unknown;
  },
): string {
  const { email, userId, password, failure } = result;
  const rows: (readonly [string, string])[] = [
    ['platform admin', email],
    ['user id', userId ?? '-'],
  ];
  if (password !== undefined) rows.push(['password', `${password}   (shown this once, kept nowhere)`]);
  const end =
    failure === undefined
      ? `${paint.good('signed in')}\n`
      : `${failureAsText(failure, paint)}The account stands; sign in later with \`gatewayctl login --email ${email}\`.\n`;
  return `${fields(rows, paint)}${end}`;
}
