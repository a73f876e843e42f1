import { describe, expect, it } from 'vitest';
import { RATE_BOUNDS } from '#domain/access/rate-limit.ts';
import { ConfigurationError } from '#platform/env.ts';
import { parseAuthzConfig } from '../../../src/authz/config.ts';
import { parseXdsConfig } from '../../../xds/config.ts';

const AUTHZ = {
  GATEWAY_NATS_URL: 'nats://127.0.0.1:4222',
  GATEWAY_AUTHZ_GRPC_LISTEN: '127.0.0.1:1',
  GATEWAY_AUTHZ_HTTP_LISTEN: '127.0.0.1:2',
  GATEWAY_HASHER_SOCKET: '/hasher.sock',
  GATEWAY_MASTER_KEY_FILE: '/master.key',
  GATEWAY_PUBLIC_URL: 'https://gateway.example',
  GATEWAY_EMAIL_VERIFICATION: 'off',
};

/** Mistakes of the rates, whatever else a program wants. */
function mistakesIn(parse: () => unknown): readonly string[] {
  try {
    parse();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.mistakes.filter((mistake) => /GATEWAY_(?:RATE|SIGN_IN)/.test(mistake));
  }
}

describe('limits in the environment', () => {
  it('have defaults that one who means well does not meet', () => {
    expect(parseAuthzConfig(AUTHZ).rateLimits).toEqual({
      principal: { requests: 50_000, windowMs: 10_000 },
      tenant: { requests: 200_000, windowMs: 10_000 },
      address: { requests: 6_000, windowMs: 60_000 },
      credentials: { requests: 600, windowMs: 60_000 },
    });
    expect(parseAuthzConfig(AUTHZ).signInFailures).toMatchObject({
      account: { freeFailures: 10, firstDelayMs: 30_000, delayMaxMs: 3_600_000 },
      client: { freeFailures: 100, firstDelayMs: 30_000 },
    });
  });

  it('are read, and can be switched off', () => {
    const config = parseAuthzConfig({
      ...AUTHZ,
      GATEWAY_RATE_PRINCIPAL: '5/60s',
      GATEWAY_RATE_TENANT: 'off',
      GATEWAY_SIGN_IN_FAILURES: '3',
      GATEWAY_SIGN_IN_DELAY_SECONDS: '2',
    });
    expect(config.rateLimits.principal).toEqual({ requests: 5, windowMs: 60_000 });
    expect(config.rateLimits.tenant).toBeUndefined();
    expect(config.signInFailures.account).toMatchObject({ freeFailures: 3, firstDelayMs: 2_000 });
  });

  it('are refused all at once, each by its name', () => {
    const bad = {
      GATEWAY_RATE_PRINCIPAL: '5',
      GATEWAY_RATE_TENANT: '0/1s',
      GATEWAY_RATE_ADDRESS: `${RATE_BOUNDS.requestsMax + 1}/1s`,
      GATEWAY_RATE_CREDENTIALS: `1/${RATE_BOUNDS.secondsMax + 1}s`,
      GATEWAY_SIGN_IN_FAILURES: '101',
      GATEWAY_SIGN_IN_FAILURES_PER_ADDRESS: '0',
      GATEWAY_SIGN_IN_DELAY_SECONDS: '3601',
    };
    const mistakes = mistakesIn(() => parseAuthzConfig({ ...AUTHZ, ...bad }));
    expect(mistakes).toHaveLength(7);
    expect(mistakes[0]).toBe(
      'GATEWAY_RATE_PRINCIPAL must be <requests>/<seconds>s, at most 10000000/86400s, or "off", not "5"',
    );
    for (const name of Object.keys(bad)) expect(mistakes.join('\n')).toContain(`${name} `);
    expect(mistakesIn(() => parseXdsConfig({ GATEWAY_RATE_LISTENER: '1/1' }))).toHaveLength(1);
    expect(mistakesIn(() => parseXdsConfig({ GATEWAY_RATE_LISTENER: '10000000/86400s' }))).toEqual([]);
  });
});
