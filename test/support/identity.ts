import { createSecrets } from '#adapters/crypto/secrets.ts';
import { createTokenSigner } from '#adapters/crypto/token-signer.ts';
import { createTokenVerifier } from '#adapters/crypto/token-verifier.ts';
import type { IdentityServices, SignInFailurePolicies } from '#app/identity/identity-services.ts';
import { ensureSigningKey } from '#app/keys/ensure-signing-key.ts';
import { AccessIndex } from '#domain/access/access-index.ts';
import type { TokenVerifier } from '#domain/access/verified-token.ts';
import { succeed } from '#domain/errors.ts';
import { DECISION_FILTERS } from '#domain/identity/records.ts';
import type { KeyValueStore, Watch } from '#ports/key-value-store.ts';
import type { Mail } from '#ports/mailer.ts';
import type { PasswordHasher } from '#ports/password-hasher.ts';
import type { ReplicaState } from '#ports/replica-board.ts';
import { type Argon2Engine, loadEngine } from '../../src/hasher/engines.ts';
import { isOutdated, parsePhc } from '../../src/hasher/phc.ts';
import { until } from './wait.ts';

/** A clock that stands where a test puts it. */
export class TestClock {
  #nowMs: number;
  constructor(nowMs = Date.parse('2026-03-01T12:00:00Z')) {
    this.#nowMs = nowMs;
  }
  nowMs(): number {
    return this.#nowMs;
  }
  advanceSeconds(seconds: number): void {
    this.#nowMs += seconds * 1_000;
  }
}

/** The hasher port within this process, with the real Argon2id; counts what it did. */
export class InProcessHasher implements PasswordHasher {
  readonly #engine: Argon2Engine;
  readonly #dummy: string;
  hashed = 0;
  verified = 0;
  constructor(engine: Argon2Engine, dummy: string) {
    this.#engine = engine;
    this.#dummy = dummy;
  }
  static async create(): Promise<InProcessHasher> {
    const engine = await loadEngine();
    return new InProcessHasher(engine, await engine.hash('dummy'));
  }
  async hash(password: string) {
    this.hashed += 1;
    return succeed(await this.#engine.hash(password));
  }
  async verify(password: string, hash: string | undefined) {
    this.verified += 1;
    const matches = (await this.#engine.verify(hash ?? this.#dummy, password)) && hash !== undefined;
    const parsed = parsePhc(hash ?? this.#dummy);
    return succeed({ matches, outdated: parsed !== undefined && isOutdated(parsed) });
  }
}

/** The identity of one replica over a store: services, the decision index fed by a watch, and what was mailed. */
export interface IdentityRig extends AsyncDisposable {
  readonly services: IdentityServices;
  readonly access: AccessIndex;
  readonly verifier: TokenVerifier;
  readonly mails: readonly Mail[];
  /** What kept attempts to sign in waiting. */
  readonly throttled: readonly string[];
  readonly clock: TestClock;
  readonly kid: string;
  /** Waits until the index has applied everything up to this revision. */
  applied(revision: number): Promise<void>;
}

export const PUBLIC_URL = 'https://gateway.example';
const MASTER_KEY = new Uint8Array(32).fill(7);

/** Small, so that tests reach them soon. */
export const SIGN_IN_FAILURES: SignInFailurePolicies = {
  account: { freeFailures: 5, firstDelayMs: 30_000, delayMaxMs: 3_600_000, forgiveEveryMs: 7_200_000 },
  client: { freeFailures: 20, firstDelayMs: 30_000, delayMaxMs: 3_600_000, forgiveEveryMs: 36_000 },
};

/** Builds the rig; pass the same store, hasher and clock twice for two replicas. */
export async function identityRig(options: {
  readonly store: KeyValueStore;
  readonly hasher: PasswordHasher;
  readonly clock?: TestClock;
  readonly emailVerification?: 'required' | 'off';
  readonly replica?: string;
}): Promise<IdentityRig> {
  const clock = options.clock ?? new TestClock();
  const secrets = createSecrets(MASTER_KEY);
  const signer = createTokenSigner();
  const mails: Mail[] = [];
  const throttled: string[] = [];
  const access = new AccessIndex((problem) => {
    throw new Error(problem);
  });
  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of listeners) listener();
  };
  const watch: Watch = options.store.watch({
    filters: DECISION_FILTERS,
    onReset: () => access.beginLoad(),
    onChanges: (changes) => {
      access.apply(changes);
      queueMicrotask(tell);
    },
    onSynced: () => {
      access.endLoad();
      queueMicrotask(tell);
    },
  });
  const board = {
    live: (role: string): readonly ReplicaState[] =>
      role === 'authz'
        ? [
            {
              role: 'authz',
              replica: options.replica ?? 'a',
              routingRevision: 1,
              iamRevision: watch.appliedRevision(),
              seenAtMs: 0,
            },
          ]
        : [],
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const services: IdentityServices = {
    store: options.store,
    secrets,
    hasher: options.hasher,
    signer,
    mailer: { send: (mail) => mails.push(mail) },
    clock,
    board,
    policy: {
      emailVerification: options.emailVerification ?? 'off',
      publicUrl: PUBLIC_URL,
      signInFailures: SIGN_IN_FAILURES,
    },
    throttled: (by) => throttled.push(by),
  };
  const kid = await ensureSigningKey({ ...services, keys: signer })();
  if (!kid.ok) throw new Error(kid.error.detail);
  await until(() => access.signingKey(kid.value) !== undefined, { deadlineMs: 10_000, what: 'the signing key' });
  return {
    services,
    access,
    verifier: createTokenVerifier({ issuer: PUBLIC_URL, signingKey: (name) => access.signingKey(name) }),
    mails,
    throttled,
    clock,
    kid: kid.value,
    applied: async (revision) => {
      await until(() => watch.appliedRevision() >= revision, { deadlineMs: 10_000, what: `revision ${revision}` });
    },
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
}
