import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { ensureBucket } from '#adapters/nats/bucket.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { createAssignment } from '#app/access/create-assignment.ts';
import { deleteAssignment } from '#app/access/delete-assignment.ts';
import { bootstrapPlatform } from '#app/identity/bootstrap-platform.ts';
import { describeMe } from '#app/identity/describe-me.ts';
import { refreshSession } from '#app/identity/refresh-session.ts';
import { signIn } from '#app/identity/sign-in.ts';
import { signOut } from '#app/identity/sign-out.ts';
import { signUp } from '#app/identity/sign-up.ts';
import { verifyEmail } from '#app/identity/verify-email.ts';
import { ANONYMOUS } from '#domain/identity/audit.ts';
import { parseRefreshToken } from '#domain/identity/opaque-token.ts';
import { readUser } from '#domain/identity/record-codec.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import { type IdentityRig, InProcessHasher, identityRig, TestClock } from '../../support/identity.ts';
import { type NatsServer, silentLog, startNats } from '../../support/nats.ts';

const CONTEXT = { actor: ANONYMOUS, requestId: 'req' };
const PASSWORD = 'violet-kettle-orbit-42';

/** The store as two replicas see it. */
interface Stores {
  readonly first: KeyValueStore;
  readonly second: KeyValueStore;
}

describe('identity over the memory store', () => {
  identitySuite(async (clock) => {
    const store = createMemoryKeyValueStore(() => clock.nowMs());
    return { first: store, second: store };
  });
});

describe('identity over a real nats-server', () => {
  let server: NatsServer;
  let buckets = 0;
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  identitySuite(async () => {
    buckets += 1;
    const bucket = `IAM${buckets}`;
    const links = [await server.connect(), await server.connect()] as const;
    await ensureBucket(links[0], { bucket, replicas: 1 });
    return {
      first: new NatsKeyValueStore(links[0], bucket, silentLog),
      second: new NatsKeyValueStore(links[1], bucket, silentLog),
    };
  });
});

/** The rules of identity, on two replicas over one store. */
function identitySuite(open: (clock: TestClock) => Promise<Stores>): void {
  const replicas = async (emailVerification: 'required' | 'off' = 'off') => {
    // Real time: the store's own clean-up goes by it.
    const clock = new TestClock(Date.now());
    const hasher = await InProcessHasher.create();
    const stores = await open(clock);
    const options = { hasher, clock, emailVerification };
    const [one, two] = await Promise.all([
      identityRig({ ...options, store: stores.first, replica: 'a' }),
      identityRig({ ...options, store: stores.second, replica: 'b' }),
    ]);
    return {
      one,
      two,
      clock,
      hasher,
      store: stores.first,
      [Symbol.asyncDispose]: async () => {
        await one[Symbol.asyncDispose]();
        await two[Symbol.asyncDispose]();
      },
    };
  };

  const count = async (store: KeyValueStore, prefix: string) => (await store.list(prefix, { limit: 500 })).length;

  const newAccount = async (rig: IdentityRig, email = 'ann@example.org') => {
    await signUp(rig.services)({ email, password: PASSWORD }, CONTEXT);
    const tokens = await signIn(rig.services)({ email, password: PASSWORD }, CONTEXT);
    if (!tokens.ok) throw new Error(tokens.error.detail);
    const parsed = parseRefreshToken(tokens.value.refreshToken);
    if (parsed === undefined) throw new Error('no refresh token');
    return { ...tokens.value, ...parsed };
  };

  it('agrees on one signing key when replicas start together', async () => {
    await using both = await replicas();
    expect(both.one.kid).toBe(both.two.kid);
    expect(await count(both.store, 'k.')).toBe(1);
    const { accessToken } = await newAccount(both.one);
    const verdict = both.two.verifier.verify(accessToken, Math.floor(both.clock.nowMs() / 1000));
    expect(verdict.ok).toBe(true);
  });

  it('makes one user of 100 concurrent sign-ups of one address', async () => {
    await using both = await replicas();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        signUp((index % 2 === 0 ? both.one : both.two).services)(
          { email: index % 3 === 0 ? 'Ann@Example.org' : 'ann@example.org', password: `${PASSWORD}-${index}` },
          CONTEXT,
        ),
      ),
    );
    const answered = new Set(answers.map((answer) => JSON.stringify(answer.ok ? answer.value : answer.error.code)));
    expect([...answered]).toEqual(['"accepted"']);
    expect(await count(both.store, 'u.')).toBe(1);
    expect(await count(both.store, 'ue.')).toBe(1);
    expect(await count(both.store, 'pw.')).toBe(1);
    // Each sign-up left its own audit record, and one is of the account's making; one more is of the signing key's.
    const audits = (await both.store.list('aud.', { limit: 500 })).map(
      (record) => JSON.parse(new TextDecoder().decode(record.value)).action,
    );
    expect(audits.filter((action) => action === 'user.signup')).toHaveLength(1);
    expect(audits.filter((action) => action === 'user.signup_repeated')).toHaveLength(99);
    expect(both.one.mails.length + both.two.mails.length).toBe(99);
  });

  it('makes the answer for a taken address cost what a new one costs', async () => {
    await using both = await replicas();
    const sizes: number[][] = [];
    const watched = spying(both.one.services.store, (writes) => sizes.push(writes));
    const services = { ...both.one.services, store: watched.store };
    await signUp(services)({ email: 'ann@example.org', password: PASSWORD }, CONTEXT);
    const readsForNew = watched.reads();
    await signUp(services)({ email: 'ann@example.org', password: PASSWORD }, CONTEXT);
    expect(watched.reads() - readsForNew).toBe(readsForNew);
    const [fresh, taken] = sizes;
    expect(taken?.slice(1)).toEqual(fresh?.slice(1));
    // The audit record alone differs, by the words that say which it was.
    expect(Math.abs((taken?.[0] ?? 0) - (fresh?.[0] ?? 0))).toBeLessThan(16);
  });

  it('gives 100 concurrent refreshes of one token one continuation', async () => {
    await using both = await replicas();
    const account = await newAccount(both.one);
    const refresh = (token: string, index: number) =>
      refreshSession((index % 2 === 0 ? both.one : both.two).services)({ refreshToken: token }, CONTEXT);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => refresh(account.refreshToken, index)));
    const children = new Set(answers.flatMap((answer) => (answer.ok ? [answer.value.refreshToken] : [])));
    expect(children.size).toBe(1);
    expect(answers.filter((answer) => !answer.ok)).toEqual([]);
    const [child] = [...children];
    const next = await refresh(child ?? '', 0);
    expect(next.ok && next.value.refreshToken !== child).toBe(true);
    // The child was used: its parent is a replay now, and ends the session for its children too.
    const replay = await refresh(account.refreshToken, 1);
    expect(replay.ok ? 'ok' : replay.error.code).toBe('session_revoked');
    const dead = await refresh(next.ok ? next.value.refreshToken : '', 0);
    expect(dead.ok ? 'ok' : dead.error.code).toBe('session_revoked');
    expect(both.one.access.isSessionRevoked(account.sessionId)).toBe(true);
  });

  it('lets a client repeat a refresh whose answer was lost, soon or late', async () => {
    await using both = await replicas();
    const account = await newAccount(both.one);
    const refresh = async (refreshToken: string) => {
      const answer = await refreshSession(both.two.services)({ refreshToken }, CONTEXT);
      return answer.ok ? answer.value.refreshToken : answer.error.code;
    };
    const lost = await refresh(account.refreshToken);
    expect(await refresh(account.refreshToken)).toBe(lost);
    both.clock.advanceSeconds(3_600);
    const late = await refresh(account.refreshToken);
    expect(late).toMatch(/^rt1\./);
    expect(late).not.toBe(lost);
    // The lost one was replaced: whoever shows it is not the client.
    expect(await refresh(lost)).toBe('session_revoked');
    expect(await refresh(late)).toBe('session_revoked');
  });

  it('ends no session for a guess', async () => {
    await using both = await replicas();
    const account = await newAccount(both.one);
    const refresh = (refreshToken: string) => refreshSession(both.one.services)({ refreshToken }, CONTEXT);
    const forged = account.refreshToken.slice(0, -4) + (account.refreshToken.endsWith('AAAA') ? 'BBBB' : 'AAAA');
    const guess = await refresh(forged);
    expect(guess.ok ? 'ok' : guess.error.code).toBe('credentials_invalid');
    expect((await refresh(account.refreshToken)).ok).toBe(true);
  });

  it('refreshes nothing after the absolute end, for a disabled user, or after a global sign-out', async () => {
    await using both = await replicas();
    const code = async (refreshToken: string) => {
      const answer = await refreshSession(both.one.services)({ refreshToken }, CONTEXT);
      return answer.ok ? 'ok' : answer.error.code;
    };
    const change = async (userId: string, patch: Readonly<Record<string, unknown>>) => {
      const stored = await both.store.get(`u.${userId}`);
      if (stored === undefined) throw new Error('no user');
      const value = new TextEncoder().encode(JSON.stringify({ ...readUser(stored.value), ...patch }));
      await both.store.commit([{ key: stored.key, value, expect: stored.revision }]);
    };
    const ann = await newAccount(both.one, 'ann@example.org');
    await change(ann.userId, { status: 'disabled' });
    expect(await code(ann.refreshToken)).toBe('credentials_invalid');
    const again = await signIn(both.one.services)({ email: 'ann@example.org', password: PASSWORD }, CONTEXT);
    expect(again.ok ? 'ok' : again.error.code).toBe('credentials_invalid');
    const bob = await newAccount(both.one, 'bob@example.org');
    await change(bob.userId, { tokensValidAfter: Math.floor(both.clock.nowMs() / 1000) + 1 });
    expect(await code(bob.refreshToken)).toBe('credentials_invalid');
    const eve = await newAccount(both.one, 'eve@example.org');
    both.clock.advanceSeconds(2_592_000);
    expect(await code(eve.refreshToken)).toBe('credentials_invalid');
  });

  it('takes no kind of token for another', async () => {
    await using both = await replicas('required');
    await signUp(both.one.services)({ email: 'ann@example.org', password: PASSWORD }, CONTEXT);
    const link = /#token=(\S+)/.exec(both.one.mails[0]?.text ?? '')?.[1] ?? '';
    const verified = await verifyEmail(both.one.services)({ token: link }, CONTEXT);
    expect(verified.ok).toBe(true);
    const tokens = await signIn(both.one.services)({ email: 'ann@example.org', password: PASSWORD }, CONTEXT);
    if (!tokens.ok) throw new Error(tokens.error.detail);
    const { accessToken, refreshToken } = tokens.value;
    const nowSeconds = Math.floor(both.clock.nowMs() / 1000);
    for (const other of [refreshToken, link]) expect(both.one.verifier.verify(other, nowSeconds).ok).toBe(false);
    for (const other of [accessToken, link]) {
      expect((await refreshSession(both.one.services)({ refreshToken: other }, CONTEXT)).ok).toBe(false);
    }
    for (const other of [accessToken, refreshToken, link]) {
      expect((await verifyEmail(both.one.services)({ token: other }, CONTEXT)).ok).toBe(false);
      const boot = bootstrapPlatform(both.one.services, 'the-real-bootstrap-token');
      const answer = await boot({ bootstrapToken: other, email: 'x@example.org', password: PASSWORD }, CONTEXT);
      expect(answer.ok ? 'ok' : answer.error.code).toBe('credentials_invalid');
    }
  });

  it('confirms an address once of 20 at once', async () => {
    await using both = await replicas('required');
    await signUp(both.one.services)({ email: 'ann@example.org', password: PASSWORD }, CONTEXT);
    const token = /#token=(\S+)/.exec(both.one.mails[0]?.text ?? '')?.[1] ?? '';
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        verifyEmail((index % 2 === 0 ? both.one : both.two).services)({ token }, CONTEXT),
      ),
    );
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
    expect(await count(both.store, 'ot.')).toBe(0);
  });

  it('bootstraps once of 20 at once, on either replica', async () => {
    await using both = await replicas();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        bootstrapPlatform((index % 2 === 0 ? both.one : both.two).services, 'token')(
          { bootstrapToken: 'token', email: `root${index}@example.org`, password: PASSWORD },
          CONTEXT,
        ),
      ),
    );
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
    expect(await count(both.store, 'u.')).toBe(1);
    expect(await count(both.store, 'as.')).toBe(1);
  });

  it('gives, takes and gives a role again, and every replica knows when the answer says so', async () => {
    await using both = await replicas();
    const { userId } = await newAccount(both.one);
    const caller = { scope: null, context: { actor: { id: 'usr_admin', kind: 'user' as const } } };
    const request = { principalId: userId, tenantId: 'acme', roleId: 'tenant-member' };
    for (let round = 0; round < 3; round += 1) {
      const given = await createAssignment(both.one.services)(request, caller);
      if (!given.ok) throw new Error(given.error.detail);
      expect(given.value.applied).toBe('all');
      expect(both.one.access.isMember(userId, 'acme')).toBe(true);
      await both.two.applied(given.value.revision);
      expect(both.two.access.isMember(userId, 'acme')).toBe(true);
      const twice = await createAssignment(both.two.services)(request, caller);
      expect(twice.ok ? 'ok' : twice.error.code).toBe('conflict');
      const me = await describeMe(both.two.services)(userId);
      expect(me.ok && me.value.memberships.map(({ roleId }) => roleId)).toEqual(['tenant-member']);
      const taken = await deleteAssignment(both.two.services)(given.value.assignment.id, caller);
      if (!taken.ok) throw new Error(taken.error.detail);
      expect(both.two.access.isMember(userId, 'acme')).toBe(false);
    }
    expect(await count(both.store, 'as.')).toBe(0);
    expect(await count(both.store, 'ai.')).toBe(0);
  });

  it('signs out for good', async () => {
    await using both = await replicas();
    const { userId, sessionId, refreshToken } = await newAccount(both.one);
    const context = { actor: { id: userId, kind: 'user' as const } };
    const out = await signOut(both.one.services)({ userId, sessionId }, context);
    if (!out.ok) throw new Error(out.error.detail);
    expect(both.one.access.isSessionRevoked(sessionId)).toBe(true);
    const refreshed = await refreshSession(both.two.services)({ refreshToken }, CONTEXT);
    expect(refreshed.ok ? 'ok' : refreshed.error.code).toBe('session_revoked');
    const again = await signOut(both.two.services)({ userId, sessionId }, context);
    expect(again.ok).toBe(true);
  });
}

/** A store that reports the sizes of what is committed and counts reads. */
function spying(store: KeyValueStore, report: (sizes: number[]) => void) {
  let reads = 0;
  const spied: KeyValueStore = {
    get: (key) => {
      reads += 1;
      return store.get(key);
    },
    list: (prefix, page) => store.list(prefix, page),
    keys: (prefix) => store.keys(prefix),
    commit: (writes) => {
      report(writes.map((write) => write.value?.length ?? 0));
      return store.commit(writes);
    },
    watch: (options) => store.watch(options),
  };
  return { store: spied, reads: () => reads };
}
