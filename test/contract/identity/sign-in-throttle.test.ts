import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { ensureBucket } from '#adapters/nats/bucket.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { signIn } from '#app/identity/sign-in.ts';
import { signUp } from '#app/identity/sign-up.ts';
import { refuse } from '#domain/errors.ts';
import { ANONYMOUS, type CallContext } from '#domain/identity/audit.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { type IdentityRig, InProcessHasher, identityRig, SIGN_IN_FAILURES, TestClock } from '../../support/identity.ts';
import { type NatsServer, silentLog, startNats } from '../../support/nats.ts';

const PASSWORD = 'violet-kettle-orbit-42';
const FREE = SIGN_IN_FAILURES.account.freeFailures;
const DELAY_SECONDS = SIGN_IN_FAILURES.account.firstDelayMs / 1_000;

describe('guessing passwords, over the memory store', () => {
  throttleSuite(async (clock) => {
    const store = createMemoryKeyValueStore(() => clock.nowMs());
    return [store, store];
  });

  it('is not possible while the storage is away', async () => {
    const clock = new TestClock();
    const store = createMemoryKeyValueStore(() => clock.nowMs());
    await using rig = await identityRig({ store, clock, hasher: await InProcessHasher.create() });
    await signUp(rig.services)({ email: 'ann@example.org', password: PASSWORD }, context());
    store.setAvailable(false);
    expect(await attempt(rig, PASSWORD)).toEqual(['storage_unavailable', undefined]);
    store.setAvailable(true);
  });
});

describe('guessing passwords, over a real nats-server', () => {
  let server: NatsServer;
  let buckets = 0;
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  throttleSuite(async () => {
    buckets += 1;
    const bucket = `IAM${buckets}`;
    const links = [await server.connect(), await server.connect()] as const;
    await ensureBucket(links[0], { bucket, replicas: 1 });
    return [new NatsKeyValueStore(links[0], bucket, silentLog), new NatsKeyValueStore(links[1], bucket, silentLog)];
  });
});

function context(clientAddress?: string): CallContext {
  return { actor: ANONYMOUS, ...(clientAddress === undefined ? {} : { clientAddress }) };
}

/** What an attempt to sign in was answered: its code, and how long to wait. */
async function attempt(
  rig: IdentityRig,
  password: string,
  { email = 'ann@example.org', from }: { readonly email?: string; readonly from?: string } = {},
): Promise<readonly [string, number | undefined]> {
  const outcome = await signIn(rig.services)({ email, password }, context(from));
  return outcome.ok ? ['ok', undefined] : [outcome.error.code, outcome.error.retryAfterSeconds];
}

/** The rules, on two replicas over one store. */
function throttleSuite(open: (clock: TestClock) => Promise<readonly [KeyValueStore, KeyValueStore]>): void {
  const replicas = async () => {
    // Real time: the store's own clean-up goes by it.
    const clock = new TestClock(Date.now());
    const hasher = await InProcessHasher.create();
    const [first, second] = await open(clock);
    const one = await identityRig({ store: first, replica: 'a', hasher, clock });
    const two = await identityRig({ store: second, replica: 'b', hasher, clock });
    await signUp(one.services)({ email: 'ann@example.org', password: PASSWORD }, context());
    return {
      ...{ one, two, clock, hasher, store: first },
      [Symbol.asyncDispose]: async () => {
        await one[Symbol.asyncDispose]();
        await two[Symbol.asyncDispose]();
      },
    };
  };
  type Both = Awaited<ReturnType<typeof replicas>>;

  /** Guesses at both replicas at once. @returns how often each code was answered */
  async function guessAtOnce(both: Both, count: number, email?: string) {
    const answers = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        attempt(index % 2 === 0 ? both.one : both.two, `wrong-${index}`, email === undefined ? {} : { email }),
      ),
    );
    return Map.groupBy(answers, ([code]) => code);
  }

  it.each([undefined, 'nobody@example.org', 'no address'])(
    'tells as many guesses as are free, not one more: %s',
    async (email) => {
      await using both = await replicas();
      const answers = await guessAtOnce(both, 40, email);
      expect([...answers.keys()].sort()).toEqual(['credentials_invalid', 'rate_limited']);
      // Fewer where so many came at once that some could not be counted.
      const told = answers.get('credentials_invalid')?.length ?? 0;
      expect(told).toBeGreaterThan(0);
      expect(told).toBeLessThanOrEqual(FREE);
    },
  );

  it('one after the other, at whichever replica, tells exactly those, and looks at no password after', async () => {
    await using both = await replicas();
    for (let index = 0; index < FREE; index += 1) {
      expect(await attempt(index % 2 === 0 ? both.one : both.two, 'wrong')).toEqual(['credentials_invalid', undefined]);
    }
    const verified = both.hasher.verified;
    expect(await attempt(both.one, PASSWORD)).toEqual(['rate_limited', DELAY_SECONDS]);
    expect(await attempt(both.two, 'wrong')).toEqual(['rate_limited', DELAY_SECONDS]);
    expect(both.hasher.verified).toBe(verified);
    expect([...both.one.throttled, ...both.two.throttled]).toEqual(['account', 'account']);
  });

  it('lets one of many through after the delay, and makes the next wait longer', async () => {
    await using both = await replicas();
    for (let index = 0; index < FREE; index += 1) await attempt(both.one, 'wrong');
    both.clock.advanceSeconds(DELAY_SECONDS);
    const verified = both.hasher.verified;
    const answers = await guessAtOnce(both, 20);
    expect(both.hasher.verified - verified).toBe(1);
    expect(answers.get('credentials_invalid')).toHaveLength(1);
    expect(answers.get('rate_limited')).toHaveLength(19);
    expect(await attempt(both.two, PASSWORD)).toEqual(['rate_limited', 2 * DELAY_SECONDS]);
  });

  it('lets the owner in after the delay, and forgets the failures', async () => {
    await using both = await replicas();
    for (let index = 0; index < FREE; index += 1) await attempt(both.one, 'wrong');
    both.clock.advanceSeconds(DELAY_SECONDS);
    expect(await attempt(both.two, PASSWORD)).toEqual(['ok', undefined]);
    for (let index = 1; index < FREE; index += 1) await attempt(both.one, 'wrong');
    expect(await attempt(both.two, PASSWORD)).toEqual(['ok', undefined]);
    expect(await both.store.list('fa.', { limit: 10 })).toEqual([]);
  });

  it('does not keep an owner waiting who signs in many times at once', async () => {
    await using both = await replicas();
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        attempt(index % 2 === 0 ? both.one : both.two, PASSWORD, index % 3 === 0 ? {} : { from: '192.0.2.1' }),
      ),
    );
    expect(answers.filter(([code]) => code !== 'ok')).toEqual([]);
  });

  it('does not keep an owner out who is where they always are, however strangers guess', async () => {
    await using both = await replicas();
    const [home, stranger, hotel] = ['192.0.2.1', '198.51.100.9', '203.0.113.5'];
    expect(await attempt(both.one, PASSWORD, { from: home })).toEqual(['ok', undefined]);
    for (let index = 0; index < FREE; index += 1) await attempt(both.two, 'wrong', { from: stranger });
    expect(await attempt(both.one, PASSWORD, { from: hotel })).toEqual(['rate_limited', DELAY_SECONDS]);
    expect(await attempt(both.two, PASSWORD, { from: home })).toEqual(['ok', undefined]);
    // That was no reason to let strangers begin anew.
    expect(await attempt(both.one, 'wrong', { from: stranger })).toEqual(['rate_limited', DELAY_SECONDS]);
    both.clock.advanceSeconds(DELAY_SECONDS);
    expect(await attempt(both.one, PASSWORD, { from: hotel })).toEqual(['ok', undefined]);
    for (let index = 0; index < FREE; index += 1) await attempt(both.two, 'wrong', { from: stranger });
    expect(await attempt(both.one, PASSWORD, { from: hotel })).toEqual(['ok', undefined]);
  });

  it('makes a client wait that is known to the account, too, on its own', async () => {
    await using both = await replicas();
    const [home, elsewhere] = ['192.0.2.1', '203.0.113.5'];
    const atHome = (rig: IdentityRig, password: string) => attempt(rig, password, { from: home });
    await atHome(both.one, PASSWORD);
    for (let round = 0; round < 2; round += 1) {
      for (let index = 0; index < FREE; index += 1) {
        expect(await atHome(both.two, 'wrong')).toEqual(['credentials_invalid', undefined]);
      }
      expect(await atHome(both.one, PASSWORD)).toEqual(['rate_limited', DELAY_SECONDS]);
      expect(await attempt(both.one, 'wrong', { from: elsewhere })).toEqual(['credentials_invalid', undefined]);
      both.clock.advanceSeconds(DELAY_SECONDS);
      expect(await atHome(both.one, PASSWORD)).toEqual(['ok', undefined]);
    }
  });

  it('gives an attempt back that nobody could check', async () => {
    await using both = await replicas();
    for (let index = 0; index < FREE; index += 1) await attempt(both.one, 'wrong');
    both.clock.advanceSeconds(DELAY_SECONDS);
    const busy = { ...both.one, services: { ...both.one.services, hasher: BUSY } };
    expect(await attempt(busy, PASSWORD)).toEqual(['overloaded', undefined]);
    expect(await attempt(both.two, PASSWORD)).toEqual(['ok', undefined]);
  });

  it('of many accounts from one client makes that client wait, whatever it knows, and nobody else', async () => {
    await using both = await replicas();
    // One subscriber, many addresses.
    const from = (index: number) => `2001:db8:0:7::${index.toString(16)}`;
    for (let index = 1; index <= SIGN_IN_FAILURES.client.freeFailures; index += 1) {
      const email = `x${index}@example.org`;
      expect((await attempt(both.one, 'wrong', { email, from: from(index) }))[0]).toBe('credentials_invalid');
      // An account of its own does not clear it.
      if (index === 10) expect(await attempt(both.two, PASSWORD, { from: from(index) })).toEqual(['ok', undefined]);
    }
    expect(await attempt(both.two, PASSWORD, { from: from(99) })).toEqual(['rate_limited', DELAY_SECONDS]);
    expect(both.two.throttled).toEqual(['client']);
    expect(await attempt(both.two, PASSWORD, { from: '2001:db8:0:8::1' })).toEqual(['ok', undefined]);
    both.clock.advanceSeconds(DELAY_SECONDS);
    // What was counted beforehand is taken back.
    expect(await attempt(both.two, PASSWORD, { from: from(99) })).toEqual(['ok', undefined]);
    expect(await attempt(both.one, PASSWORD, { from: from(99) })).toEqual(['ok', undefined]);
  });

  it('leaves no address of anybody in a key', async () => {
    await using both = await replicas();
    await attempt(both.one, 'wrong', { from: '192.0.2.7' });
    await attempt(both.one, PASSWORD, { from: '192.0.2.7' });
    await attempt(both.one, 'wrong', { from: '192.0.2.8' });
    const keys = (await Promise.all(['fa.', 'fc.', 'fk.'].map((prefix) => both.store.keys(prefix)))).flat();
    expect(keys).toHaveLength(4);
    for (const { key } of keys) expect(key).toMatch(/^f[ack](?:\.[A-Za-z0-9_-]{43}){1,2}$/);
  });
}

/** A hasher that is too busy to look at anything. */
const BUSY = {
  hash: async () => refuse('overloaded', 'too many passwords are being hashed'),
  verify: async () => refuse('overloaded', 'too many passwords are being hashed'),
};
