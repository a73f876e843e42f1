import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBucketEventually } from '#adapters/nats/bucket.ts';
import { connectNats } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { NatsReplicaBoard } from '#adapters/nats/replica-board.ts';
import { HeadAdopter } from '#adapters/routing/head-adopter.ts';
import { RevisionSource } from '#adapters/routing/revision-source.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { RoutingFile } from '#adapters/routing/routing-file.ts';
import { publishDocument } from '#app/publish-revision.ts';
import { createLog, type Log } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { runProgram } from '#platform/program.ts';
import { loadRegistry } from '#platform/proto-registry.ts';
import type { Clock } from '#ports/clock.ts';
import { startAdsServer } from './ads/server.ts';
import { Announcer } from './announcer.ts';
import { parseXdsConfig, type XdsConfig } from './config.ts';
import { ControlPlane } from './control-plane.ts';
import { createEncoder } from './encode.ts';
import { startHttpServer } from './http-server.ts';
import { watchEvents } from './observe.ts';
import { edgeListeners, edgeSecret, TRANSLATORS } from './resources.ts';
import { watchTlsFiles } from './tls-files.ts';

/** The xDS server: turns routing revisions into Envoy's resources and serves them over delta ADS. */
const DRAIN_MS = 10_000;
const clock: Clock = { nowMs: () => Date.now() };

let log: Log | undefined;
await runProgram({
  drainMs: DRAIN_MS,
  log: () => log,
  start: (shutdown) => {
    const config = parseXdsConfig(process.env);
    log = createLog({ service: 'xds', replica: config.replica, level: config.logLevel });
    return start(config, log, shutdown);
  },
});

async function start(config: XdsConfig, log: Log, shutdown: AbortSignal): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const metrics = createMetrics('xds');
  const descriptors = readFileSync(join(config.protoDir, 'command-service.binpb'));
  const registry = loadRegistry([readFileSync(join(config.protoDir, 'envoy-api.binpb')), descriptors]);

  let announcer: Announcer | undefined;
  let source: RevisionSource | undefined;
  const controlPlane = new ControlPlane({
    ...TRANSLATORS,
    encode: createEncoder(registry),
    listeners: edgeListeners({ ...config.edge, accessLogPath: config.accessLogPath, descriptors }),
    nowMs: () => Date.now(),
    schedule: (delayMs, task) => setTimeout(task, delayMs).unref(),
    onEnvoysChanged: () => announcer?.request(),
    onEvent: watchEvents({ metrics, log }),
  });
  stack.use(
    await watchTlsFiles({
      files: { certificate: config.tlsCertificateFile, key: config.tlsKeyFile },
      onChange: (certificate, key) => controlPlane.putSecret(edgeSecret(certificate, key)),
      log,
    }),
  );
  stack.use(
    await startHttpServer({ listen: config.httpListen, metrics, controlPlane, problem: () => source?.problem() }),
  );

  const link = stack.use(await connectNats({ url: config.natsUrl, name: config.replica, log }));
  await ensureBucketEventually(link, { bucket: 'ROUTING', replicas: config.natsReplicas, log, shutdown });
  const store = new NatsKeyValueStore(link, 'ROUTING', log);
  const revisions = new RevisionStore({ store, log, known: () => source?.current() });
  const adopter = stack.use(new HeadAdopter({ store, revisions, clock, log }));
  const board = stack.use(new NatsReplicaBoard(link, log));
  announcer = new Announcer({ board, controlPlane, replica: config.replica });
  stack.defer(announcer.follow());
  source = stack.use(new RevisionSource({ store, log, onForeignHead: adopter.request }));
  const apply = (snapshot: Parameters<ControlPlane['applyRevision']>[0]) => {
    controlPlane.applyRevision(snapshot);
    announcer?.request();
  };
  stack.defer(source.onRevision(apply));
  if (config.routingFile !== undefined) {
    const publish = (request: Parameters<typeof publishDocument>[1]) =>
      publishDocument({ store: revisions, clock }, request);
    stack.use(new RoutingFile({ path: config.routingFile, publish, store, clock, log }));
  }
  stack.use(await startAdsServer({ listen: config.grpcListen, registry, host: controlPlane, log }));
  return stack;
}
