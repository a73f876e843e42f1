import type { FailurePolicy } from '#domain/identity/failure-delay.ts';
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
  /** Is told of each attempt that failures before it keep waiting. */
  readonly throttled: (by: 'account' | 'client') => void;
}

interface IdentityPolicy {
  /** Whether an account can sign in before its address was confirmed by the mailed link. */
  readonly emailVerification: 'required' | 'off';
  /** The public origin without a slash at the end: issuer of tokens and origin of mailed links, never taken from a request. */
  readonly publicUrl: string;
  readonly signInFailures: SignInFailurePolicies;
}

/** Failed sign-ins are counted for what is guessed at, and for whoever guesses. */
export interface SignInFailurePolicies {
  /** Per address of an account, be there such an account or not. */
  readonly account: FailurePolicy;
  /** Per client address. */
  readonly client: FailurePolicy;
}
