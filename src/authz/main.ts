import { createTokenVerifier } from '#adapters/crypto/token-verifier.ts';
import { compileEndpoints } from '#domain/access/match-endpoint.ts';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { identityOf } from '#domain/internal-identity.ts';
import { SWAP_QUESTION } from '#domain/routing/swap/swap-facts.ts';
import { openInternalTls } from '#platform/internal-tls/internal-tls.ts';
import { createLog, type Log } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { runProgram } from '#platform/program.ts';
import { openTracing } from '#platform/tracing/tracing.ts';
import type { Clock } from '#ports/clock.ts';
import { iamRoutes } from './admin-api/iam-routes.ts';
import { routingRoutes } from './admin-api/routing-routes.ts';
import { authRoutes } from './auth-api/auth-routes.ts';
import { openIdentity } from './compose/identity.ts';
import { openRates } from './compose/rates.ts';
import { serve } from './compose/serve.ts';
import { openStorage } from './compose/storage.ts';
import { type AuthzConfig, parseAuthzConfig } from './config.ts';
import { openAccessFeed } from './ext-authz/access-feed.ts';
import { createCheck } from './ext-authz/check.ts';
import { createCheckObserver } from './ext-authz/check-observer.ts';
import { createCheckTrace } from './ext-authz/check-trace.ts';
import { createDecisionIds } from './ext-authz/decision-ids.ts';
import { RevisionUse } from './ext-authz/revision-use.ts';
import { SnapshotKeeper } from './ext-authz/snapshot-keeper.ts';
import { buildApp } from './http/build-app.ts';
import { decideCaller } from './http/decide-caller.ts';
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
  const tracing = stack.use(await openTracing({ ...config, service: 'authz', log, metrics }));
  const tls = config.internalTls === undefined ? undefined : stack.use(await openInternalTls(config.internalTls, log));
  const storage = await openStorage({ config, tls, log, stack, shutdown });
  const { board, source, routingStore, headStatus } = storage;

  // What decisions are made from. The board hears of every step, because others wait for it (stamps, "applied").
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
    rates: openRates(config, metrics, board, stack),
    clock,
    newDecisionId: createDecisionIds(),
    observer: createCheckObserver({ metrics, log }),
    trace: tracing && createCheckTrace(tracing),
  });

  const identity = openIdentity({ config, log, metrics, clock, store: storage.iam, board, stack, shutdown });
  const readiness = () =>
    readinessOf({
      accessUsable: index.isUsable(),
      accessStalenessMs: feed.stalenessMs(),
      maxStalenessMs: config.maxStalenessMs,
      routingRevision: keeper.newestRevision(),
      hasSigningKey: identity.hasSigningKey(),
      natsConnected: storage.isConnected(),
    });
  const isFresh = () => index.isUsable() && feed.stalenessMs() <= config.maxStalenessMs;
  const app = buildApp({
    log,
    publicUrl: config.publicUrl,
    metrics: metrics.registry,
    tracing,
    authenticate: decideCaller({ access: index, isFresh, verifier: tokens, clock }),
    routes: [
      ...systemRoutes({ store: storage.iam, clock, publicUrl: config.publicUrl, readiness }),
      ...authRoutes(identity.services, identity.bootstrapToken),
      ...iamRoutes(identity.services),
      ...routingRoutes({ routingStore, routingSource: source, headStatus, board, clock }),
    ],
  });
  // Before the routing is here, every request of a tenant would be denied. Where there is none, or none that can be read,
  // the API is what it is published by.
  const knowsRouting = () => keeper.newestRevision() > 0 || source.isComplete() || source.problem() !== undefined;
  const canDecide = () => index.isUsable() && knowsRouting();
  const checks = { check, routing: keeper, canDecide, log, traced: tracing !== undefined };
  await serve({ app, config, stack, envoy: tls && { tls, clients: [identityOf('envoy')], log }, checks });
  return stack;
}
