import { hostname } from 'node:os';
import type { SignInFailurePolicies } from '#app/identity/identity-services.ts';
import { RATE_BOUNDS } from '#domain/access/rate-limit.ts';
import { LIMITS } from '#domain/limits.ts';
import { EnvReader, type ListenAddress } from '#platform/env.ts';
import type { InternalTlsFiles } from '#platform/internal-tls/internal-tls.ts';
import { readInternalTlsFiles } from '#platform/internal-tls/read-tls-files.ts';
import { readTracing, type TracingSettings } from '#platform/tracing/tracing.ts';
import type { RateLimits } from './ext-authz/rate-guard.ts';

/** Everything the authz service is told from outside, parsed once (docs/config.md). */
export interface AuthzConfig {
  readonly natsUrl: string;
  readonly natsReplicas: number;
  readonly replica: string;
  readonly logLevel: string;
  /** Where Envoy's ext_authz filter calls: loopback, a Unix socket or a private network. */
  readonly grpcListen: ListenAddress;
  /** Auth API, admin API, health and metrics. */
  readonly httpListen: { readonly host: string; readonly port: number };
  readonly hasherSocket: string;
  readonly masterKeyFile: string;
  readonly bootstrapTokenFile: string | undefined;
  readonly emailVerification: 'required' | 'off';
  readonly mailDir: string | undefined;
  /** Issuer of tokens and origin of mailed links; never taken from a request. */
  readonly publicUrl: string;
  /** How long decisions may be made from memory without proof from the store that nothing is missing. */
  readonly maxStalenessMs: number;
  /** What all replicas together let through. */
  readonly rateLimits: RateLimits;
  readonly signInFailures: SignInFailurePolicies;
  /** Our certificate inside; absent: everything is in clear. */
  readonly internalTls: InternalTlsFiles | undefined;
  /** Where Envoy reaches the API over TLS; `httpListen` then has only health, readiness and metrics. */
  readonly apiListen: ListenAddress | undefined;
  readonly tracing: TracingSettings;
}

/** @throws ConfigurationError naming every mistake */
export function parseAuthzConfig(env: Readonly<Record<string, string | undefined>>): AuthzConfig {
  const read = new EnvReader(env);
  const httpListen = read.listen('GATEWAY_AUTHZ_HTTP_LISTEN');
  const config = {
    natsUrl: read.text('GATEWAY_NATS_URL'),
    natsReplicas: read.integer('GATEWAY_NATS_REPLICAS', { min: 1, max: 5, fallback: 1 }),
    replica: read.text('GATEWAY_REPLICA', `authz-${hostname()}-${process.pid}`).replaceAll(/[^A-Za-z0-9_-]/g, '-'),
    logLevel: read.choice('GATEWAY_LOG_LEVEL', ['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info'),
    grpcListen: read.listen('GATEWAY_AUTHZ_GRPC_LISTEN', { unix: true }),
    httpListen: 'path' in httpListen ? { host: '', port: 0 } : httpListen,
    hasherSocket: read.text('GATEWAY_HASHER_SOCKET'),
    masterKeyFile: read.text('GATEWAY_MASTER_KEY_FILE'),
    bootstrapTokenFile: read.optional('GATEWAY_BOOTSTRAP_TOKEN_FILE'),
    emailVerification: read.choice('GATEWAY_EMAIL_VERIFICATION', ['required', 'off'], 'required'),
    mailDir: read.optional('GATEWAY_MAIL_DIR'),
    publicUrl: read.text('GATEWAY_PUBLIC_URL').replace(/\/+$/, ''),
    maxStalenessMs: 1_000 * read.integer('GATEWAY_MAX_STALENESS_SECONDS', { min: 1, max: 86_400, fallback: 600 }),
    rateLimits: {
      principal: read.rate('GATEWAY_RATE_PRINCIPAL', { ...RATE_BOUNDS, fallback: '50000/10s' }),
      tenant: read.rate('GATEWAY_RATE_TENANT', { ...RATE_BOUNDS, fallback: '200000/10s' }),
      address: read.rate('GATEWAY_RATE_ADDRESS', { ...RATE_BOUNDS, fallback: '6000/60s' }),
      credentials: read.rate('GATEWAY_RATE_CREDENTIALS', { ...RATE_BOUNDS, fallback: '600/60s' }),
    },
    signInFailures: signInFailures(read),
    ...internalTls(read),
    tracing: readTracing(read),
  };
  if (config.publicUrl !== '' && !URL.canParse(config.publicUrl)) read.mistake('GATEWAY_PUBLIC_URL must be a URL');
  if (config.emailVerification === 'required' && config.mailDir === undefined) {
    read.mistake('GATEWAY_MAIL_DIR is required while GATEWAY_EMAIL_VERIFICATION is "required"');
  }
  read.finish();
  return config;
}

function internalTls(read: EnvReader): Pick<AuthzConfig, 'internalTls' | 'apiListen'> {
  const files = readInternalTlsFiles(read);
  if (files !== undefined) {
    return { internalTls: files, apiListen: read.listen('GATEWAY_AUTHZ_API_LISTEN', { unix: true }) };
  }
  if (read.optional('GATEWAY_AUTHZ_API_LISTEN') !== undefined) {
    read.mistake('GATEWAY_AUTHZ_API_LISTEN is for TLS: it needs GATEWAY_INTERNAL_CERT_FILE');
  }
  return { internalTls: undefined, apiListen: undefined };
}

function signInFailures(read: EnvReader): SignInFailurePolicies {
  const count = (name: string, max: number, fallback: number) => read.integer(name, { min: 1, max, fallback });
  const delays = {
    firstDelayMs:
      1_000 *
      read.integer('GATEWAY_SIGN_IN_DELAY_SECONDS', { min: 1, max: LIMITS.signInDelayMaxMs / 1_000, fallback: 30 }),
    delayMaxMs: LIMITS.signInDelayMaxMs,
  };
  return {
    account: {
      ...delays,
      freeFailures: count('GATEWAY_SIGN_IN_FAILURES', LIMITS.signInFailuresMaxCount, 10),
      forgiveEveryMs: LIMITS.accountFailureForgivenMs,
    },
    client: {
      ...delays,
      freeFailures: count('GATEWAY_SIGN_IN_FAILURES_PER_ADDRESS', LIMITS.addressFailuresMaxCount, 100),
      forgiveEveryMs: LIMITS.clientFailureForgivenMs,
    },
  };
}
