import { fileURLToPath } from 'node:url';
import { identityOf } from '#domain/internal-identity.ts';
import { LIMITS } from '#domain/limits.ts';
import { ConfigurationError } from '#platform/env.ts';
import { openInternalTls } from '#platform/internal-tls/internal-tls.ts';
import { createLog } from '#platform/log.ts';
import { describeChildren, ENVOY_DRAIN_SECONDS } from './children.ts';
import { readConfig } from './config.ts';
import { createConsole } from './console.ts';
import { openDataFolder } from './data/folder.ts';
import { lockDataFolder } from './data/lock.ts';
import { recordNodePorts } from './data/node-history.ts';
import { endOrphans } from './data/orphans.ts';
import { drainEnvoy } from './envoy-drain.ts';
import { Gateway } from './gateway.ts';
import { addressesOf, internalTlsOf, type Layout, NODES } from './layout.ts';
import { type Prepared, prepare, runFileOf } from './prepare.ts';
import { RunFileWriter } from './run-file.ts';
import { readyScreen } from './screen.ts';
import { seedRouting } from './seed-routing.ts';
import { StartError } from './start-error.ts';
import { realTimers } from './supervise/start-process.ts';

/**
 * The development gateway: nats-server, xds, authz, hasher, reference nodes and Envoy as children of one process.
 * Exit codes: 0 after a clean stop, 1 when it cannot start, 2 on bad configuration.
 */
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
/** What Envoy gets to finish what it has when everything stops: no request of a shard takes longer than its timeout. */
const ENVOY_DRAIN = { noticeMs: ENVOY_DRAIN_SECONDS * 1_000, requestsMs: LIMITS.upstreamTimeoutMs };

const startedAtMs = performance.now();
const console = createConsole(process.stdout, process.env);
const stop = new AbortController();
// Every further signal changes nothing: the end is bounded anyway, and a terminal and npm may both pass one on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
// Its terminal, or whoever reads it, is gone: no reason to end in the middle and leave the children alone.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
// The script that started this one has died: nobody is left to stop the gateway.
if (process.connected) process.once('disconnect', () => stop.abort());

process.exitCode = await run();
if (process.connected) process.disconnect?.();

async function run(): Promise<number> {
  try {
    const config = readConfig(process.env, REPOSITORY);
    await using data = await openDataFolder(config.dataFolder);
    await using _lock = await lockDataFolder(data.root);
    const orphans = await endOrphans(data.root);
    if (orphans.length > 0) console.say(`ended ${orphans.length} processes of a gateway that was killed`);
    const runFile = new RunFileWriter(data.runFile);
    await runFile.clear();
    await serve(await prepare(REPOSITORY, config, data), runFile);
    return 0;
  } catch (error) {
    if (error instanceof ConfigurationError) return refuse(error.message, 2);
    if (error instanceof StartError) return refuse(`cannot start: ${error.message}`, 1);
    return refuse(error instanceof Error ? (error.stack ?? error.message) : String(error), 1);
  }
}

function refuse(text: string, exitCode: number): number {
  process.stderr.write(`gateway ${text}\n`);
  return exitCode;
}

/** Runs the gateway until it is to stop. */
async function serve(prepared: Prepared, runFile: RunFileWriter): Promise<void> {
  const { layout } = prepared;
  let ready = false;
  const writeRunFile = () => (ready ? runFile.write(runFileOf(prepared, gateway.pids())) : Promise.resolve());
  const gateway = new Gateway({
    children: describeChildren(layout, prepared),
    console,
    // A routing file is the routing: nothing of ours goes before it.
    afterStorage: () => (layout.config.environment['GATEWAY_ROUTING_FILE'] ? Promise.resolve() : seed(layout)),
    drain: () => drainEnvoy(addressesOf(layout).envoyAdmin, ENVOY_DRAIN),
    onPids: () => void writeRunFile(),
  });
  try {
    console.say(`starting on ${layout.data.root}`);
    await gateway.start(stop.signal);
    ready = true;
    await writeRunFile();
    const run = runFileOf(prepared, gateway.pids());
    console.print(readyScreen(layout, run, performance.now() - startedAtMs));
    await stopped();
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    if (stop.signal.aborted) console.say('stopping');
    await gateway.stop();
    await runFile.remove();
  }
  console.say('stopped');
}

/** Gives the gateway its routing. The client library is loaded here, beside the start of nats-server. */
async function seed(layout: Layout): Promise<void> {
  const [{ connectNats }, { ensureBucket }, { NatsKeyValueStore }, { RevisionStore }] = await Promise.all([
    import('#adapters/nats/connection.ts'),
    import('#adapters/nats/bucket.ts'),
    import('#adapters/nats/key-value-store.ts'),
    import('#adapters/routing/revision-store.ts'),
  ]);
  // What goes wrong here ends the start with its message; the connection's own ups and downs are of no interest.
  const log = createLog({ service: 'launcher', level: 'silent' });
  const files = internalTlsOf(layout, 'operator');
  using own = files === undefined ? undefined : await openInternalTls(files, log);
  const tls = own && { own, server: identityOf('nats') };
  await using link = await connectNats({ url: addressesOf(layout).nats, name: 'launcher', tls, log });
  await ensureBucket(link, { bucket: 'ROUTING', replicas: 1 });
  const nodes = NODES.map((node) => ({ ...node, port: layout.ports[node.name] }));
  const history = await recordNodePorts(
    layout.data.nodePortsFile,
    nodes.map((node) => [node.port, node.name] as const),
  );
  const store = new RevisionStore({ store: new NatsKeyValueStore(link, 'ROUTING', log), log });
  await seedRouting({ store, clock: realTimers }, { nodes, history });
}

async function stopped(): Promise<void> {
  if (stop.signal.aborted) return;
  await new Promise((resolve) => stop.signal.addEventListener('abort', resolve, { once: true }));
}
