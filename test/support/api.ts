import type { FastifyInstance } from 'fastify';
import { createMemoryKeyValueStore, type MemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { Turns } from '#adapters/routing/turns.ts';
import type { Outcome } from '#domain/errors.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { StoreError } from '#ports/key-value-store.ts';
import type { HeadStatus, RoutingStore } from '#ports/routing.ts';
import { iamRoutes } from '../../src/authz/admin-api/iam-routes.ts';
import { routingRoutes } from '../../src/authz/admin-api/routing-routes.ts';
import { authRoutes } from '../../src/authz/auth-api/auth-routes.ts';
import type { ApiRoute } from '../../src/authz/http/api-route.ts';
import { buildApp } from '../../src/authz/http/build-app.ts';
import { decideCaller } from '../../src/authz/http/decide-caller.ts';
import { type ReadyCondition, systemRoutes } from '../../src/authz/http/system-routes.ts';
import { type IdentityRig, InProcessHasher, identityRig, PUBLIC_URL, TestClock } from './identity.ts';
import { RoutingBoard } from './routing.ts';

export const BOOTSTRAP_TOKEN = 'the-one-time-bootstrap-token-0123456789';

/** The API of one replica over a memory store, reached without a socket. */
export interface Api extends AsyncDisposable {
  readonly app: FastifyInstance;
  readonly routes: readonly ApiRoute[];
  readonly rig: IdentityRig;
  readonly store: MemoryKeyValueStore;
  readonly hasher: InProcessHasher;
  readonly clock: TestClock;
  readonly routing: MemoryRoutingStore;
  readonly board: RoutingBoard;
  /** Lines the service logged, as text. */
  readonly logged: readonly string[];
  readiness: readonly ReadyCondition[];
  /** What the status tells of a table put into `head` by hand. */
  head: HeadStatus | undefined;
  call(request: ApiRequest): Promise<ApiResponse>;
}

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly token?: string | undefined;
  readonly tenant?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface ApiResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers member by member
  readonly body: any;
}

export async function startApi(options: { readonly emailVerification?: 'required' | 'off' } = {}): Promise<Api> {
  const clock = new TestClock();
  const store = createMemoryKeyValueStore(() => clock.nowMs());
  const hasher = await InProcessHasher.create();
  const rig = await identityRig({ store, hasher, clock, ...options });
  const revisions = new MemoryRoutingStore();
  const board = new RoutingBoard(rig.services.board, () => revisions.kept.at(-1)?.revision ?? 0);
  const logged: string[] = [];
  const state: { readiness: readonly ReadyCondition[]; head: HeadStatus | undefined } = {
    readiness: [{ name: 'storage', ok: true }],
    head: undefined,
  };
  const routes = [
    ...systemRoutes({ store, clock, publicUrl: PUBLIC_URL, readiness: () => state.readiness }),
    ...authRoutes(rig.services, BOOTSTRAP_TOKEN),
    ...iamRoutes(rig.services),
    ...routingRoutes({
      routingStore: revisions,
      routingSource: { current: () => revisions.kept.at(-1) },
      headStatus: () => state.head,
      board,
      clock,
    }),
  ];
  const app = buildApp({
    log: createLog({ service: 'authz', level: 'info', destination: { write: (line) => void logged.push(line) } }),
    authenticate: decideCaller({
      access: rig.access,
      isFresh: () => rig.access.isUsable(),
      verifier: rig.verifier,
      clock,
    }),
    routes,
    publicUrl: PUBLIC_URL,
    metrics: createMetrics('authz').registry,
  });
  await app.ready();
  return {
    app,
    routes,
    rig,
    store,
    hasher,
    clock,
    routing: revisions,
    board,
    logged,
    get readiness() {
      return state.readiness;
    },
    set readiness(conditions) {
      state.readiness = conditions;
    },
    get head() {
      return state.head;
    },
    set head(status) {
      state.head = status;
    },
    call: (request) => callApi(app, request),
    [Symbol.asyncDispose]: async () => {
      await app.close();
      await rig[Symbol.asyncDispose]();
    },
  };
}

async function callApi(app: FastifyInstance, request: ApiRequest): Promise<ApiResponse> {
  const response = await app.inject({
    method: request.method,
    url: request.path,
    headers: {
      ...(request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }),
      ...(request.tenant === undefined ? {} : { 'x-tenant-id': request.tenant }),
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...request.headers,
    },
    ...(request.body === undefined
      ? {}
      : { payload: typeof request.body === 'string' ? request.body : JSON.stringify(request.body) }),
  });
  const isJson = String(response.headers['content-type'] ?? '').includes('json');
  return {
    status: response.statusCode,
    headers: response.headers,
    text: response.payload,
    body: isJson ? JSON.parse(response.payload) : undefined,
  };
}

/** Revisions in memory, for the shapes of the admin API; the store itself has its own contract suite. */
class MemoryRoutingStore implements RoutingStore {
  readonly kept: RoutingSnapshot[] = [];
  readonly #turns = new Turns();
  /** Waited for before each publication is decided. */
  beforePublish: () => Promise<void> = async () => {};
  /** How often the head was read. */
  reads = 0;
  async head() {
    this.reads += 1;
    return this.kept.at(-1);
  }
  knownHead() {
    return this.kept.at(-1);
  }
  inTurn<Value>(work: () => Promise<Outcome<Value>>) {
    return this.#turns.take(work);
  }
  async revision(revision: number) {
    return this.kept.find((snapshot) => snapshot.revision === revision);
  }
  async list({ limit, before }: { readonly limit: number; readonly before?: number }) {
    return this.kept
      .filter((snapshot) => before === undefined || snapshot.revision < before)
      .reverse()
      .slice(0, limit);
  }
  async publish(next: Parameters<RoutingStore['publish']>[0], parent: RoutingSnapshot | undefined) {
    await this.beforePublish();
    if (this.kept.at(-1) !== parent) throw new StoreError('conflict', 'another revision came first');
    const snapshot = { ...next, manifest: String(next.revision).padStart(64, '0') };
    this.kept.push(snapshot);
    return snapshot;
  }
}

/** A signed-in account. */
export interface SignedIn {
  readonly userId: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly email: string;
}

export const PASSWORD = 'violet-kettle-orbit-42';

/** Signs an account up and in. */
export async function account(api: Pick<Api, 'call'>, email: string): Promise<SignedIn> {
  await api.call({ method: 'POST', path: '/v1/auth/signup', body: { email, password: PASSWORD } });
  return signInAs(api, email);
}

/** Signs in and reads who that is. */
export async function signInAs(api: Pick<Api, 'call'>, email: string): Promise<SignedIn> {
  const signedIn = await api.call({ method: 'POST', path: '/v1/auth/signin', body: { email, password: PASSWORD } });
  if (signedIn.status !== 200) throw new Error(`cannot sign in: ${signedIn.text}`);
  const { access_token: accessToken, refresh_token: refreshToken } = signedIn.body;
  const me = await api.call({ method: 'GET', path: '/v1/auth/me', token: accessToken });
  if (me.status !== 200) throw new Error(`cannot read the account: ${me.text}`);
  return { userId: me.body.user_id, accessToken, refreshToken, email };
}

/** Makes the first platform admin and signs in. */
export async function platformAdmin(api: Pick<Api, 'call'>): Promise<SignedIn> {
  const body = { bootstrap_token: BOOTSTRAP_TOKEN, email: 'root@example.org', password: PASSWORD };
  const made = await api.call({ method: 'POST', path: '/v1/auth/bootstrap', body });
  if (made.status !== 201) throw new Error(`cannot bootstrap: ${made.text}`);
  return signInAs(api, 'root@example.org');
}
