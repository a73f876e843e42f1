import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Metadata } from '@grpc/grpc-js';
import { CommandClient } from '../nodes/aggregate/command-service.ts';
import type { RunningGateway } from './launcher.ts';

/** What a request through the edge was answered. */
export interface EdgeAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

export interface EdgeRequest {
  readonly method?: string;
  readonly token?: string | undefined;
  readonly tenant?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const REQUEST_TIMEOUT_MS = 15_000;
export const PASSWORD = 'correct horse battery staple';

/** One request through Envoy's clear listener. */
export async function ask(http: string, path: string, request: EdgeRequest = {}): Promise<EdgeAnswer> {
  const response = await fetch(`${http}${path}`, {
    method: request.method ?? (request.body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }),
      ...(request.tenant === undefined ? {} : { 'x-tenant-id': request.tenant }),
      ...request.headers,
    },
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parseObject(text), text };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
  } catch {
    return {};
  }
}

export interface Person {
  readonly email: string;
  readonly userId: string;
  readonly token: string;
  readonly refreshToken: string;
}

/** Signs a new person up and in. */
export async function signUp(http: string, email: string): Promise<Person> {
  const accepted = await ask(http, '/v1/auth/signup', { body: { email, password: PASSWORD } });
  if (accepted.status !== 202) throw new Error(`sign-up: ${accepted.status} ${accepted.text}`);
  return signIn(http, email);
}

/** Signs a person in. */
export async function signIn(http: string, email: string): Promise<Person> {
  const signedIn = await ask(http, '/v1/auth/signin', { body: { email, password: PASSWORD } });
  if (signedIn.status !== 200) throw new Error(`sign-in: ${signedIn.status} ${signedIn.text}`);
  const token = String(signedIn.body['access_token']);
  const me = await ask(http, '/v1/auth/me', { token });
  return { email, token, userId: String(me.body['user_id']), refreshToken: String(signedIn.body['refresh_token']) };
}

/** Makes the first platform admin with the one-time token and signs in. */
export async function bootstrapAdmin(gateway: RunningGateway, email = 'admin@example.com'): Promise<Person> {
  const { http, bootstrapToken } = await gateway.run();
  const made = await ask(http, '/v1/auth/bootstrap', {
    body: { bootstrap_token: bootstrapToken, email, password: PASSWORD },
  });
  if (made.status !== 201) throw new Error(`bootstrap: ${made.status} ${made.text}`);
  return signIn(http, email);
}

/** Gives a person a role in a tenant; answers what the API said. */
export const assign = (http: string, admin: Person, person: Person, tenant: string | null, role: string) =>
  ask(http, '/admin/iam/assignments', {
    token: admin.token,
    body: { principal_id: person.userId, tenant_id: tenant, role_id: role },
  });

/** Moves a tenant by the admin API. */
export const move = (http: string, admin: Person, change: Readonly<Record<string, string>>) =>
  ask(http, '/admin/routing/revisions', { token: admin.token, body: { changes: [change] } });

/** A gRPC client of the command service on the clear listener (HTTP/2 in clear on the same port). */
export const commandClient = (http: string): CommandClient => new CommandClient(new URL(http).host);

/** gRPC metadata of plain headers. */
export function metadataOf(headers: Readonly<Record<string, string | undefined>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) metadata.set(name, value);
  return metadata;
}

export interface CommandRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const GATEWAYCTL = fileURLToPath(new URL('../../bin/gatewayctl.mjs', import.meta.url));

/** Runs gatewayctl against a gateway, with its own configuration folder inside of the gateway's data. */
export function gatewayctl(
  gateway: RunningGateway,
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<CommandRun> {
  const env = {
    ...process.env,
    GATEWAY_DATA: gateway.dataFolder,
    XDG_CONFIG_HOME: `${gateway.dataFolder}/xdg`,
    NO_COLOR: '1',
    ...options.env,
  };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [GATEWAYCTL, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
    child.stdin?.end(options.input ?? '');
  });
}
