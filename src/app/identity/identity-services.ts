import type { Clock } from '#ports/clock.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import type { Mailer } from '#ports/mailer.ts';
import type { PasswordHasher } from '#ports/password-hasher.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { Secrets } from '#ports/secrets.ts';
import type { TokenSigner } from '#ports/token-signer.ts';

/** What the use cases of identity work with; each takes only the part it needs. */
export interface IdentityServices {
  readonly store: KeyValueStore;
  readonly secrets: Secrets;
  readonly hasher: PasswordHasher;
  readonly signer: TokenSigner;
  readonly mailer: Mailer;
  readonly clock: Clock;
  /** The replicas that decide requests, for "applied everywhere". */
  readonly board: Pick<ReplicaBoard, 'live' | 'onChange'>;
  readonly policy: IdentityPolicy;
}

interface IdentityPolicy {
  /** Whether an account can sign in before its address was confirmed by the mailed link. */
  readonly emailVerification: 'required' | 'off';
  /** The public origin without a slash at the end: issuer of tokens and origin of mailed links, never taken from a request. */
  readonly publicUrl: string;
}
