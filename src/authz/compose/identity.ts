import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { readMasterKeyFile } from '#adapters/crypto/master-key.ts';
import { createSecrets } from '#adapters/crypto/secrets.ts';
import { createTokenSigner } from '#adapters/crypto/token-signer.ts';
import { createHasherClient } from '#adapters/hasher/hasher-client.ts';
import { createMailFolder } from '#adapters/mail/mail-folder.ts';
import type { IdentityServices } from '#app/identity/identity-services.ts';
import { ensureSigningKey } from '#app/keys/ensure-signing-key.ts';
import type { Log } from '#platform/log.ts';
import type { Metrics } from '#platform/metrics.ts';
import type { Clock } from '#ports/clock.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import type { Mailer } from '#ports/mailer.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { AuthzConfig } from '../config.ts';

const KEY_RETRY_MS = 500;

export interface Identity {
  readonly services: IdentityServices;
  /** The one-time token of the first platform admin; undefined: there is none to be had. */
  readonly bootstrapToken: string | undefined;
  hasSigningKey(): boolean;
}

/**
 * What the use cases of identity work with. The signing key is taken into use beside the start, as soon as the storage
 * gives it.
 * @throws when the master key file is unreadable or no key
 */
export function openIdentity(options: {
  readonly config: AuthzConfig;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly store: KeyValueStore;
  readonly board: ReplicaBoard;
  readonly stack: AsyncDisposableStack;
  readonly shutdown: AbortSignal;
}): Identity {
  const { config, clock, store, board } = options;
  const signer = createTokenSigner();
  const throttled = options.metrics.counter(
    'gateway_authz_sign_in_throttled_total',
    'Attempts to sign in that had to wait because of failures before them.',
    ['by'],
  );
  const services: IdentityServices = {
    store,
    board,
    clock,
    signer,
    secrets: createSecrets(readMasterKeyFile(config.masterKeyFile)),
    hasher: options.stack.use(createHasherClient({ socketPath: config.hasherSocket })),
    mailer: openMailer(options),
    policy: {
      emailVerification: config.emailVerification,
      publicUrl: config.publicUrl,
      signInFailures: config.signInFailures,
    },
    throttled: (by) => throttled.inc({ by }),
  };
  let hasKey = false;
  const takeKey = ensureSigningKey({ ...services, keys: signer });
  void (async () => {
    for (let attempt = 1; !options.shutdown.aborted && !hasKey; attempt += 1) {
      const taken = await takeKey();
      hasKey = taken.ok;
      if (taken.ok) return;
      if (attempt % 20 === 1) options.log.warn({ reason: taken.error.detail }, 'signing key not available yet');
      await sleep(KEY_RETRY_MS);
    }
  })().catch((error: unknown) => {
    options.log.fatal({ err: error }, 'the signing key cannot be used: is the master key the right one?');
    process.exit(1);
  });
  return { services, bootstrapToken: readToken(config.bootstrapTokenFile), hasSigningKey: () => hasKey };
}

function openMailer({ config, log, clock, stack }: Parameters<typeof openIdentity>[0]): Mailer {
  if (config.mailDir === undefined) {
    return { send: (mail) => log.warn({ subject: mail.subject }, 'mail dropped: GATEWAY_MAIL_DIR is not set') };
  }
  const from = `gateway@${new URL(config.publicUrl).hostname}`;
  return stack.use(createMailFolder({ directory: config.mailDir, from, now: () => new Date(clock.nowMs()), log }));
}

function readToken(file: string | undefined): string | undefined {
  const token = file === undefined ? '' : readFileSync(file, 'utf8').trim();
  return token === '' ? undefined : token;
}
