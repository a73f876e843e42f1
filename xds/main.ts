import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openNats } from '#adapters/nats/connection.ts';
import { NatsReplicaBoard } from '#adapters/nats/replica-board.ts';
import { QuarantineStatus } from '#adapters/routing/quarantine-status.ts';
import { identityOf } from '#domain/internal-identity.ts';
import { openInternalTls } from '#platform/internal-tls/internal-tls.ts';
import { createLog, type Log } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { runProgram } from '#platform/program.ts';
import { loadRegistry } from '#platform/proto-registry.ts';
import { openTracing } from '#platform/tracing/tracing.ts';
import type { Clock } from '#ports/clock.ts';
import { startAdsServer } from './ads/server.ts';
import { Announcer } from './announcer.ts';
import { beginEmpty } from './begin-empty.ts';
import { followStorage } from './compose/follow-storage.ts';
import { openValidator } from './compose/open-validator.ts';
import { parseXdsConfig, type XdsConfig } from './config.ts';
import { ControlPlane } from './control-plane.ts';
import { clientStatusService } from './csds/client-status-service.ts';
import { createEncoder, createMessageEncoder } from './encode.ts';
import { startHttpServer } from './http-server.ts';
import { KnownGoodKeeper } from './last-known-good/known-good-keeper.ts';
import { RoutingInForce } from './last-known-good/routing-in-force.ts';
import { readState, writeState } from './last-known-good/state-folder.ts';
import { watchEvents, watchQuarantine } from './observe.ts';
import { edgeListeners, edgeRoutes, edgeSecret, translatorsWith } from './resources.ts';
import { RevisionTraces } from './revision-traces.ts';
import { createRouteStamper } from './route-stamper.ts';
import { SwapRecord } from './swap-record.ts';
import { watchTlsFiles } from './tls-files.ts';

/** The xDS server: turns routing revisions into Envoy's resources and serves them over delta ADS. */
const DRAIN_MS = 10_000;
const clock: Clock = { nowMs: () => Date.now() };
const schedule = (delayMs: number, task: () => void) => {
  const timer = setTimeout(task, delayMs).unref();
  return () => clearTimeout(timer);
};
const timing = { schedule, nowMs: () => performance.now() };

let log: Log | undefined;
await runProgram({
  drainMs: DRAIN_MS,
  log: () => log,
  start: () => {
    const config = parseXdsConfig(process.env);
    log = createLog({ service: 'xds', replica: config.replica, level: config.logLevel });
    return start(config, log);
  },
});

async function start(config: XdsConfig, log: Log): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const metrics = createMetrics('xds');
  const opened = await openTracing({ ...config, service: 'xds', log, metrics });
  const traces = new RevisionTraces(stack.use(opened), clock.nowMs);
  const descriptors = readFileSync(join(config.protoDir, 'command-service.binpb'));
  const registry = loadRegistry([readFileSync(join(config.protoDir, 'envoy-api.binpb')), descriptors]);

  let announcer: Announcer | undefined;
  let quarantineStatus: QuarantineStatus | undefined;
  const keeper = stack.use(openKeeper(config.stateFolder, { schedule, ...clock, log }));
  const observe = watchEvents({ metrics, log });
  const observeQuarantine = watchQuarantine({ metrics, log });
  const swaps = new SwapRecord(clock.nowMs);
  const translateRoutes = (stamp: string) => edgeRoutes(stamp, config.edge.corsOrigins);
  const stampRoutes = createRouteStamper({ translateRoutes, encode: createMessageEncoder(registry) });
  const controlPlane = new ControlPlane({
    ...translatorsWith(config.shardTls),
    encode: createEncoder(registry),
    encodeRoutes: swaps.watchStamps(stampRoutes),
    listeners: edgeListeners({ ...config.edge, accessLogPath: config.accessLogPath, descriptors }),
    nowMs: clock.nowMs,
    schedule,
    onEnvoysChanged: () => announcer?.request(),
    onEvent: (session, event) => {
      observe(session, event);
      swaps.onEvent(session.node, event);
      traces.onEvent(session.node, event);
      if (event.kind === 'stamp_acked') keeper?.acknowledged(event.stamp);
    },
    onQuarantineChanged: (quarantined) => {
      observeQuarantine(quarantined);
      quarantineStatus?.request(quarantined);
      announcer?.request();
    },
  });
  stack.use(
    await watchTlsFiles({
      files: { certificate: config.tlsCertificateFile, key: config.tlsKeyFile },
      onChange: (certificate, key) => controlPlane.putSecret(edgeSecret(certificate, key)),
      log,
    }),
  );
  const routing = new RoutingInForce({ controlPlane, keeper, log });
  if (config.stateFolder !== undefined) routing.begin(await readState(config.stateFolder));

  const tls = config.internalTls === undefined ? undefined : stack.use(await openInternalTls(config.internalTls, log));
  const natsTls = tls && { own: tls, server: identityOf('nats') };
  const link = stack.use(openNats({ url: config.natsUrl, name: config.replica, tls: natsTls, log }));
  const board = stack.use(new NatsReplicaBoard(link, log));
  const validator = openValidator(config, { board, registry, log, stack });
  announcer = new Announcer({ board, controlPlane, replica: config.replica, link, validator, ...timing });
  stack.defer(announcer.follow());
  stack.defer(swaps.answerOn(board));
  const storage = stack.use(
    followStorage({
      link,
      replicas: config.natsReplicas,
      routingFile: config.routingFile,
      clock,
      log,
      onSource: (source) => beginEmpty({ source, controlPlane }),
      onStore: (store) => {
        quarantineStatus = new QuarantineStatus({ store, replica: config.replica, clock, log });
        if (controlPlane.isReady) quarantineStatus.request(controlPlane.quarantined());
        return quarantineStatus;
      },
      onRevision: (snapshot) => {
        swaps.loaded(snapshot.revision);
        traces.apply(snapshot.revision, () => routing.offer(snapshot));
        announcer?.request();
      },
    }),
  );
  const parts = { controlPlane, routing, keeper, storage, isConnected: () => link.isConnected() };
  stack.use(await startHttpServer({ listen: config.httpListen, metrics, ...parts }));
  const adsTls = tls === undefined ? undefined : { tls, clients: [identityOf('envoy')], log };
  const services = [clientStatusService({ registry, sessions: () => controlPlane.sessions() })];
  stack.use(await startAdsServer({ listen: config.grpcListen, tls: adsTls, host: controlPlane, services, log }));
  return stack;
}

/** Undefined when nothing is to be kept. */
function openKeeper(
  folder: string | undefined,
  options: Omit<ConstructorParameters<typeof KnownGoodKeeper>[0], 'write'>,
): KnownGoodKeeper | undefined {
  if (folder === undefined) return undefined;
  return new KnownGoodKeeper({ ...options, write: (content) => writeState(folder, content) });
}
