import { clientOf } from '#domain/access/client-address.ts';
import { type Outcome, succeed } from '#domain/errors.ts';
import { parseEmail } from '#domain/identity/email.ts';
import { iamKey } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import type { Write } from '#ports/key-value-store.ts';
import { FailureCounter } from './failure-counter.ts';
import type { IdentityServices } from './identity-services.ts';

type Services = Pick<IdentityServices, 'store' | 'secrets' | 'clock' | 'policy' | 'throttled'>;

/** One attempt to sign in that was let through. Exactly one of its ends is called. */
export interface SignInAttempt {
  /** It failed. @returns undefined when that is counted, or what to answer instead: the answer would have told too much. */
  failed(): Promise<Outcome<never> | undefined>;
  /** It succeeded. @returns what is to be written with the session, or what to answer instead. Asked for each try. */
  succeeded(): Promise<Outcome<readonly Write[]>>;
  /** Nobody found out whether the password was right. */
  abandoned(): Promise<void>;
}

/**
 * Lets an attempt through or makes it wait: the same answer in the same time whether the account exists. The counters are
 * in the store, so all replicas see one. A failure is told only when it was counted, by compare-and-set; where failures
 * have begun to cost time an attempt is counted as failed before the password is looked at, so of many at once one goes
 * ahead.
 *
 * An account is counted for all clients together, except for each that has signed in to it before: that one has a counter
 * of its own, so strangers who keep guessing do not keep the owner out, who is where the owner always is. Signing in
 * clears the counter it went by; those of a client only time clears, for whoever guesses may own an account too.
 * @throws StoreError: without the counters nobody is let through
 */
export async function beginSignIn(
  services: Services,
  who: { readonly email: string; readonly clientAddress: string | undefined },
): Promise<Outcome<SignInAttempt>> {
  const { account, client, known } = countersOf(services, who);
  const all = [account, ...(client === undefined ? [] : [client]), ...(known === undefined ? [] : [known])];
  await Promise.all(all.map((counter) => counter.look()));
  const isKnown = known?.isThere() === true;
  const guard = isKnown ? known : account;
  const counters = client === undefined ? [guard] : [client, guard];
  const entered = await enterAll(counters);
  if (!entered.ok) return entered;
  return succeed({
    failed: async () => {
      const answers = await Promise.all(counters.map((counter) => counter.count()));
      return answers.find((answer) => !answer.ok);
    },
    succeeded: async () => {
      await client?.leave();
      const cleared = await guard.clear();
      if (!cleared.ok || known === undefined || isKnown) return cleared;
      const remembered = await known.clear();
      return remembered.ok ? succeed([...cleared.value, ...remembered.value]) : remembered;
    },
    abandoned: async () => void (await Promise.all(counters.map((counter) => counter.leave()))),
  });
}

/** Without Envoy before it nothing is known of the client, and only the account counts. */
function countersOf(services: Services, { email: address, clientAddress }: Parameters<typeof beginSignIn>[1]) {
  const { secrets, policy } = services;
  const email = parseEmail(address);
  const emailToken = secrets.emailToken(email.ok ? email.value.canonical : ` ${address}`);
  const ofAccount = { by: 'account', policy: policy.signInFailures.account } as const;
  const account = new FailureCounter(services, { ...ofAccount, key: iamKey.accountFailures(emailToken) });
  if (clientAddress === undefined) return { account, client: undefined, known: undefined };
  const clientToken = secrets.emailToken(` client ${clientOf(clientAddress)}`);
  return {
    account,
    client: new FailureCounter(services, {
      by: 'client',
      key: iamKey.clientFailures(clientToken),
      policy: policy.signInFailures.client,
    }),
    known: new FailureCounter(services, {
      ...ofAccount,
      key: iamKey.knownClientFailures(emailToken, clientToken),
      keepSeconds: LIMITS.knownClientLifetimeSeconds,
    }),
  };
}

/** All or none. */
async function enterAll(counters: readonly FailureCounter[]): Promise<Outcome<undefined>> {
  for (const counter of counters) {
    const waiting = counter.waiting();
    if (!waiting.ok) return waiting;
  }
  const begun: FailureCounter[] = [];
  for (const counter of counters) {
    const entered = await counter.enter();
    if (!entered.ok) {
      await Promise.all(begun.map((other) => other.leave()));
      return entered;
    }
    begun.push(counter);
  }
  return succeed(undefined);
}
