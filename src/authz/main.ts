import { createTokenVerifier } from '#adapters/crypto/token-verifier.ts';
import { compileEndpoints } from '#domain/access/match-endpoint.ts';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { SWAP_QUESTION } from '#domain/routing/swap/swap-facts.ts';
import { createLog, type Log } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { runProgram } from '#platform/program.ts';
import type { Clock } from '#ports/clock.ts';
import { iamRoutes } from './admin-api/iam-routes.ts';
import { routingRoutes } from './admin-api/routing-routes.ts';
import { authRoutes } from './auth-api/auth-routes.ts';
import { openIdentity } from './compose/identity.ts';
import { openStorage } from './compose/storage.ts';
import { type AuthzConfig, parseAuthzConfig } from './config.ts';
import { openAccessFeed } from './ext-authz/access-feed.ts';
import { createCheck } from './ext-authz/check.ts';
import { createCheckObserver } from './ext-authz/check-observer.ts';
import { createDecisionIds } from './ext-authz/decision-ids.ts';
import { RevisionUse } from './ext-authz/revision-use.ts';
import { type ExtAuthzServerOptions, startExtAuthzServer } from './ext-authz/server.ts';
import { SnapshotKeeper } from './ext-authz/snapshot-keeper.ts';
import { buildApp } from './http/build-app.ts';
import { decideCaller } from './http/decide-caller.ts';
import { addLeave } from './http/leave.ts';
import { systemRoutes } from './http/system-routes.ts';
import { readinessOf } from './readiness.ts';

/** The authz service: answers Envoy's ext_authz filter, and hosts the auth and the admin API. */
const DRAIN_MS = 10_000;
const clock: Clock = { nowMs: () => Date.now() };

let log: Log | undefined;
await runProgram({
  drainMs: DRAIN_MS,
  log: () => log,
  start: (shutdown) => {
    const config = parseAuthzConfig(process.env);
    log = createLog({ service: 'authz', replica: config.replica, level: config.logLevel });
    return start(config, log, shutdown);
  },
});

async function start(config: AuthzConfig, log: Log, shutdown: AbortSignal): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const metrics = createMetrics('authz');
  const storage = await openStorage({ config, log, stack, shutdown });
  const { board, source } = storage;

  // What decisions are made from. The board hears of every step, because others wait for it (stamps, "applied").
  const { routingStore } = storage;
  const keeper = stack.use(new SnapshotKeeper({ source, board, clock, read: (n) => routingStore.revision(n) }));
  let iamRevision = 0;
  const announce = () =>
    board.announce({ role: 'authz', replica: config.replica, routingRevision: keeper.newestRevision(), iamRevision });
  const feed = stack.use(
    openAccessFeed({
      store: storage.iam,
      clock,
      log,
      onApplied: (revision) => {
        iamRevision = revision;
        announce();
      },
    }),
  );
  const revisionUse = new RevisionUse(clock);
  const takeRevision = () => {
    revisionUse.held(keeper.newestRevision());
    announce();
  };
  stack.defer(keeper.onRevision(takeRevision));
  takeRevision();
  stack.defer(board.answer(SWAP_QUESTION, revisionUse.answer));
  const { index } = feed;
  const tokens = createTokenVerifier({ issuer: config.publicUrl, signingKey: (kid) => index.signingKey(kid) });

  const check = createCheck({
    endpoints: compileEndpoints(ENDPOINTS),
    access: index,
    accessStalenessMs: feed.stalenessMs,
    maxStalenessMs: config.maxStalenessMs,
    tokens,
    routing: keeper,
    revisionUse,
    clock,
    newDecisionId: createDecisionIds(),
    observer: createCheckObserver({ metrics, log }),
  });

  const identity = openIdentity({ config, log, clock, store: storage.iam, board, stack, shutdown });
  const readiness = () =>
    readinessOf({
      accessUsable: index.isUsable(),
      accessStalenessMs: feed.stalenessMs(),
      maxStalenessMs: config.maxStalenessMs,
      routingRevision: keeper.newestRevision(),
      hasSigningKey: identity.hasSigningKey(),
      natsConnected: storage.isConnected(),
    });
  const app = buildApp({
    log,
    publicUrl: config.publicUrl,
    metrics: metrics.registry,
    authenticate: decideCaller({
      access: index,
      isFresh: () => index.isUsable() && feed.stalenessMs() <= config.maxStalenessMs,
      verifier: tokens,
      clock,
    }),
    routes: [
      ...systemRoutes({ store: storage.iam, clock, publicUrl: config.publicUrl, readiness }),
      ...authRoutes(identity.services, identity.bootstrapToken),
      ...iamRoutes(identity.services),
      ...routingRoutes({ routingStore, routingSource: source, board, clock }),
    ],
  });
  // Before the routing is here, every request of a tenant would be denied. Where there is none, or none that can be read,
  // the API is what it is published by.
  const knowsRouting = () => keeper.newestRevision() > 0 || source.isComplete() || source.problem() !== undefined;
  const canDecide = () => index.isUsable() && knowsRouting();
  await serve({ app, config, stack, checks: { listen: config.grpcListen, check, routing: keeper, canDecide, log } });
  return stack;
}

/**
 * Opens both servers. The end runs from here backwards: Envoys are told and served until they have noticed, then checks
 * and requests under way are answered to their end, and what they are answered from goes last, the connection to NATS
 * after everything.
 */
async function serve(parts: {
  readonly app: ReturnType<typeof buildApp>;
  readonly config: AuthzConfig;
  readonly stack: AsyncDisposableStack;
  readonly checks: ExtAuthzServerOptions;
}): Promise<void> {
  const { app, config, stack } = parts;
  const leaveApi = addLeave(app);
  stack.defer(() => app.close());
  await app.listen({ host: config.httpListen.host, port: config.httpListen.port });
  const checks = stack.use(await startExtAuthzServer(parts.checks));
  stack.defer(async () => void (await Promise.all([checks.drain(), leaveApi()])));
}
