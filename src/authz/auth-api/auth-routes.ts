import { bootstrapPlatform } from '#app/identity/bootstrap-platform.ts';
import { describeMe } from '#app/identity/describe-me.ts';
import type { IdentityServices } from '#app/identity/identity-services.ts';
import type { IssuedTokens } from '#app/identity/issue-tokens.ts';
import { refreshSession } from '#app/identity/refresh-session.ts';
import { signIn } from '#app/identity/sign-in.ts';
import { signOut } from '#app/identity/sign-out.ts';
import { signUp } from '#app/identity/sign-up.ts';
import { verifyEmail } from '#app/identity/verify-email.ts';
import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { type ApiAnswer, type ApiRoute, defineRoute } from '../http/api-route.ts';
import { applied, id } from '../http/bodies.ts';
import { constant, flag, integer, list, nullable, object, text, time } from '../http/schema.ts';
import { verifyEmailPage } from './verify-email-page.ts';

/** Room for white space around the longest address: it is trimmed before it is checked. */
const EMAIL = text({ maxLength: LIMITS.emailMaxChars + 16, description: 'e-mail address' });
const PASSWORD = text({ maxLength: LIMITS.passwordMaxBytes });
const TOKEN = text({ maxLength: 512 });

const TOKENS = object({
  access_token: text({ maxLength: LIMITS.accessTokenMaxBytes, description: 'JWT, RFC 9068' }),
  token_type: constant('Bearer'),
  expires_in: integer('seconds'),
  refresh_token: TOKEN,
});

/** The endpoints of design 5.2a: from the first sign-up to the last sign-out. */
export function authRoutes(services: IdentityServices, bootstrapToken: string | undefined): readonly ApiRoute[] {
  return [
    bootstrapRoute(services, bootstrapToken),
    signUpRoute(services),
    verifyEmailRoute(services),
    verifyEmailPageRoute,
    signInRoute(services),
    refreshRoute(services),
    signOutRoute(services),
    meRoute(services),
  ];
}

function bootstrapRoute(services: IdentityServices, bootstrapToken: string | undefined): ApiRoute {
  const bootstrap = bootstrapPlatform(services, bootstrapToken);
  return defineRoute({
    id: 'auth.bootstrap',
    summary: 'Makes the first platform admin, once, by the one-time token of the installation',
    body: object({ bootstrap_token: TOKEN, email: EMAIL, password: PASSWORD }),
    responses: { 201: { description: 'Made', schema: object({ user_id: id('user') }) } },
    errors: ['credentials_invalid', 'conflict', 'storage_unavailable'],
    handle: async ({ body, context }) => {
      const { bootstrap_token, email, password } = body;
      const outcome = await bootstrap({ bootstrapToken: bootstrap_token, email, password }, context);
      return outcome.ok ? succeed({ status: 201, body: { user_id: outcome.value.userId } }) : outcome;
    },
  });
}

function signUpRoute(services: IdentityServices): ApiRoute {
  const run = signUp(services);
  return defineRoute({
    id: 'auth.signup',
    summary: 'Makes an account; the answer does not tell whether the address had one already',
    body: object({ email: EMAIL, password: PASSWORD }),
    responses: { 202: { description: 'Accepted', schema: object({ status: constant('accepted') }) } },
    errors: ['storage_unavailable'],
    handle: async ({ body, context }) => {
      const outcome = await run(body, context);
      return outcome.ok ? succeed({ status: 202, body: { status: outcome.value } }) : outcome;
    },
  });
}

function verifyEmailRoute(services: IdentityServices): ApiRoute {
  const run = verifyEmail(services);
  return defineRoute({
    id: 'auth.verify_email',
    summary: 'Confirms an e-mail address by the token of the mailed link, once',
    body: object({ token: TOKEN }),
    responses: { 200: { description: 'Confirmed', schema: object({ status: constant('verified') }) } },
    errors: ['storage_unavailable'],
    handle: async ({ body, context }) => {
      const outcome = await run(body, context);
      return outcome.ok ? succeed({ status: 200, body: { status: outcome.value } }) : outcome;
    },
  });
}

const verifyEmailPageRoute: ApiRoute = defineRoute({
  id: 'auth.verify_email_page',
  summary: 'The page behind the mailed link; it posts the token when its button is pressed',
  responses: { 200: { description: 'Page', contentType: 'text/html' } },
  handle: () => succeed(verifyEmailPage()),
});

function signInRoute(services: IdentityServices): ApiRoute {
  const run = signIn(services);
  return defineRoute({
    id: 'auth.signin',
    summary: 'Begins a session by address and password',
    body: object({ email: EMAIL, password: PASSWORD }),
    responses: { 200: { description: 'Tokens', schema: TOKENS } },
    errors: ['credentials_invalid', 'storage_unavailable'],
    handle: async ({ body, context }) => tokensAnswer(await run(body, context)),
  });
}

function refreshRoute(services: IdentityServices): ApiRoute {
  const run = refreshSession(services);
  return defineRoute({
    id: 'auth.refresh',
    summary: 'Exchanges a refresh token for the next one and an access token',
    body: object({ refresh_token: TOKEN }),
    responses: { 200: { description: 'Tokens', schema: TOKENS } },
    errors: ['credentials_invalid', 'session_revoked', 'conflict', 'storage_unavailable'],
    handle: async ({ body, context }) => tokensAnswer(await run({ refreshToken: body.refresh_token }, context)),
  });
}

function tokensAnswer(outcome: Outcome<IssuedTokens>): Outcome<ApiAnswer> {
  if (!outcome.ok) return outcome;
  const { accessToken, expiresInSeconds, refreshToken } = outcome.value;
  return succeed({
    status: 200,
    body: {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: expiresInSeconds,
      refresh_token: refreshToken,
    },
  });
}

function signOutRoute(services: IdentityServices): ApiRoute {
  const run = signOut(services);
  return defineRoute({
    id: 'auth.signout',
    summary: 'Ends the session of the access token, on all replicas',
    responses: {
      200: {
        description: 'Ended',
        schema: object({ status: constant('signed_out'), revision: integer(), applied }),
      },
    },
    errors: ['storage_unavailable'],
    handle: async ({ principal, context }) => {
      if (principal?.sessionId === undefined) return refuse('conflict', 'the token belongs to no session');
      const outcome = await run({ userId: principal.id, sessionId: principal.sessionId }, context);
      return outcome.ok ? succeed({ status: 200, body: { status: 'signed_out', ...outcome.value } }) : outcome;
    },
  });
}

function meRoute(services: IdentityServices): ApiRoute {
  const run = describeMe(services);
  const membership = object({ tenant_id: nullable(id('tenant; null = the platform')), role_id: id('role') });
  return defineRoute({
    id: 'auth.me',
    summary: 'The account of the caller and where they hold which role',
    responses: {
      200: {
        description: 'Account',
        schema: object({
          user_id: id('user'),
          email: EMAIL,
          email_verified: flag(),
          created_at: time(),
          memberships: list(membership),
        }),
      },
    },
    errors: ['not_found', 'storage_unavailable'],
    handle: async ({ principal }) => {
      const outcome = await run(principal?.id ?? '');
      if (!outcome.ok) return outcome;
      const { user, memberships } = outcome.value;
      return succeed({
        status: 200,
        body: {
          user_id: user.id,
          email: user.email,
          email_verified: user.emailVerified,
          created_at: user.createdAt,
          memberships: memberships.map(({ tenantId, roleId }) => ({ tenant_id: tenantId, role_id: roleId })),
        },
      });
    },
  });
}
