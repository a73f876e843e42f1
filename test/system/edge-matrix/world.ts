import { createServer } from 'node:net';
import { join } from 'node:path';
import { readMasterKeyFile } from '#adapters/crypto/master-key.ts';
import { createSecrets } from '#adapters/crypto/secrets.ts';
import { createTokenSigner } from '#adapters/crypto/token-signer.ts';
import { connectNats } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { accessTokenClaims } from '#domain/identity/access-token.ts';
import { readCurrentSigningKey, readSigningKey } from '#domain/identity/record-codec.ts';
import { iamKey } from '#domain/identity/records.ts';
import { ask, assign, bootstrapAdmin, type Person, signIn, signUp } from '../../support/edge-client.ts';
import { freePort } from '../../support/free-port.ts';
import { type RunningGateway, startGateway } from '../../support/launcher.ts';
import { silentLog } from '../../support/nats.ts';
import { until } from '../../support/wait.ts';

/** A gateway with people of all kinds, and tenants whose shards are in trouble. */
export interface World extends AsyncDisposable {
  readonly gateway: RunningGateway;
  readonly port: number;
  readonly admin: Person;
  /** Member of every tenant below, of `unplaced` too. */
  readonly member: Person;
  readonly expiredToken: string;
  readonly revokedToken: string;
}

/** Tenants by what is wrong with their shards; `acme` has good ones. */
const TENANTS = ['acme', 'down', 'nowhere', 'resets', 'busy', 'spent', 'unplaced'] as const;

/** What a tenant gets in ten hours: more than the rows below ask of any, and soon used up on purpose. */
const TENANT_REQUESTS = 1_500;

export async function startWorld(): Promise<World> {
  const stack = new AsyncDisposableStack();
  const gateway = stack.use(await startGateway({ env: { GATEWAY_RATE_TENANT: `${TENANT_REQUESTS}/36000s` } }));
  const { http } = await gateway.run();
  const admin = await bootstrapAdmin(gateway);
  const member = await signUp(http, 'member@example.com');
  for (const tenant of TENANTS) await assign(http, admin, member, tenant, 'tenant-member');
  const resetting = createServer((socket) => {
    socket.on('error', () => undefined);
    // Takes a request, then goes away without an answer.
    socket.once('data', () => socket.resetAndDestroy());
  });
  await new Promise<void>((resolve) => resetting.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void resetting.close());
  const bound = resetting.address();
  if (typeof bound !== 'object' || bound === null) throw new Error('no port');
  await publish(gateway, admin, { down: await freePort(), resets: bound.port });
  const signedOut = await signIn(http, member.email);
  await ask(http, '/v1/auth/signout', { token: signedOut.token, body: {} });
  const expiredToken = await mintExpired(gateway, member);
  return {
    ...{ gateway, port: Number(new URL(http).port), admin, member, expiredToken, revokedToken: signedOut.token },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Good shards for acme, and one broken pair for each of the others. Nothing is ejected: each request meets the fault. */
async function publish(gateway: RunningGateway, admin: Person, ports: { down: number; resets: number }): Promise<void> {
  const { http, nodes } = await gateway.run();
  const shard = (address: string, port: number) => ({ endpoints: [{ address, port }], outlier_detection: false });
  const shardsOf = (kind: string) => {
    const node = nodes.find((candidate) => candidate.kind === kind && candidate.shard === 's1');
    const good = shard('127.0.0.1', Number(node?.address.split(':')[1]));
    return {
      s1: good,
      busy: { ...good, circuit_breakers: { max_requests: 1 } },
      down: shard('127.0.0.1', ports.down),
      nowhere: shard('nowhere.invalid', 9),
      resets: shard('127.0.0.1', ports.resets),
    };
  };
  const placement = { acme: 's1', down: 'down', nowhere: 'nowhere', resets: 'resets', busy: 'busy', spent: 's1' };
  const body = {
    aggregate_placement: placement,
    projection_placement: placement,
    runner_placement: { acme: 's1' },
    aggregate_shards: shardsOf('aggregate'),
    projection_shards: shardsOf('projection'),
    runner_shards: shardsOf('runner'),
  };
  const published = await ask(http, '/admin/routing/revisions', { token: admin.token, body });
  if (published.status !== 200 && published.status !== 201) throw new Error(published.text);
  await until(
    async () => {
      const status = await ask(http, '/admin/routing/status', { token: admin.token });
      return JSON.stringify(status.body['envoys']).includes(`"acked":${String(published.body['revision'])},`);
    },
    { deadlineMs: 20_000, what: 'the revision to be in force' },
  );
}

/** A token that was good an hour ago, signed with the key of the installation. */
async function mintExpired(gateway: RunningGateway, person: Person): Promise<string> {
  await using link = await connectNats({ url: (await gateway.run()).nats, name: 'test', log: silentLog });
  const store = new NatsKeyValueStore(link, 'IAM', silentLog);
  const current = await store.get(iamKey.currentSigningKey());
  if (current === undefined) throw new Error('there is no signing key');
  const { kid } = readCurrentSigningKey(current.value);
  const key = await store.get(iamKey.signingKey(kid));
  if (key === undefined) throw new Error('there is no such key');
  const secrets = createSecrets(readMasterKeyFile(join(gateway.dataFolder, 'keys/master.key')));
  const signer = createTokenSigner();
  const { sealedPrivateKey } = readSigningKey(key.value);
  signer.use({ kid, privateKey: secrets.open(sealedPrivateKey, iamKey.signingKey(kid)) });
  const payload = person.token.split('.')[1] ?? '';
  const { iss: issuer, sid } = Object(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
  const nowSeconds = Math.floor(Date.now() / 1000) - 3_600;
  const session = { id: String(sid), userId: person.userId, authTime: nowSeconds, amr: ['pwd'] };
  const claims = accessTokenClaims({ issuer: String(issuer), tokenId: secrets.newId('jti'), session, nowSeconds });
  const token = signer.sign(claims);
  if (token === undefined) throw new Error('the signer has no key');
  return token;
}

/** Takes all that the shards of the tenant `busy` take at once, while `work` runs. */
export async function whileBusy(world: World, work: () => Promise<void>): Promise<void> {
  const { http, envoyAdmin } = await world.gateway.run();
  const request = { token: world.member.token, tenant: 'busy' };
  const leave = new AbortController();
  const command = { command_id: 'busy', command_type: 'test.delay.9000' };
  const occupy = (path: string, body: object) =>
    fetch(`${http}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${request.token}`, 'x-tenant-id': request.tenant },
      body: JSON.stringify(body),
      signal: leave.signal,
    }).catch(() => undefined);
  const occupied = [occupy('/v1/commands/order/1', command), occupy('/v1/query/orders', { delay_ms: 9_000 })];
  for (const cluster of ['aggregate/busy', 'projection/busy']) {
    await until(
      async () => {
        const stats = await (await fetch(`${envoyAdmin}/clusters`)).text();
        return new RegExp(`${cluster}::127\\.0\\.0\\.1:\\d+::rq_active::1\\b`).test(stats);
      },
      { deadlineMs: 5_000, what: `${cluster} to be busy` },
    );
  }
  try {
    await work();
  } finally {
    leave.abort();
    await Promise.all(occupied);
  }
}

/** The account of `nobody` that somebody guesses at. */
export const GUESSED = 'guessed@example.com';

/** Uses up what the tenant `spent` gets, and the failed sign-ins of an account that cost nothing. */
export async function spend(world: World): Promise<void> {
  const { http } = await world.gateway.run();
  const request = { token: world.member.token, tenant: 'spent', body: {} };
  let isSpent = false;
  const sender = async () => {
    for (let sent = 0; sent < TENANT_REQUESTS && !isSpent; sent += 1) {
      isSpent ||= (await ask(http, '/v1/query/orders', request)).status === 429;
    }
  };
  await Promise.all(Array.from({ length: 20 }, sender));
  const guess = { body: { email: GUESSED, password: 'something else' } };
  await until(async () => (await ask(http, '/v1/auth/signin', guess)).status === 429, {
    deadlineMs: 20_000,
    what: 'failures to cost time',
  });
}

/** Stops a child where it stands (SIGSTOP) while `work` runs: there, but answering nobody. */
export async function frozen<Result>(world: World, name: string, work: () => Promise<Result>): Promise<Result> {
  const pid = (await world.gateway.run()).pids[name];
  if (pid === undefined) throw new Error(`${name} does not run`);
  process.kill(pid, 'SIGSTOP');
  try {
    return await work();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}
