import { identityOf } from '#domain/internal-identity.ts';
import { openInternalTls } from '#platform/internal-tls/internal-tls.ts';
import { createLog, type Log } from '#platform/log.ts';
import { runProgram } from '#platform/program.ts';
import { openTracing } from '#platform/tracing/tracing.ts';
import { readNodeConfig } from './config.ts';
import { NODE_LIMITS } from './limits.ts';
import type { NodeStart, RunningNode } from './running-node.ts';

let log: Log | undefined;

await runProgram({
  // The node's own drain ends before.
  drainMs: NODE_LIMITS.drainMs + 1_000,
  log: () => log,
  async start() {
    const config = readNodeConfig(process.env);
    log = createLog({ service: `node.${config.kind}.${config.shard}`, level: config.logLevel });
    const stack = new AsyncDisposableStack();
    const service = `node-${config.kind}-${config.shard}`;
    const tracing = stack.use(await openTracing({ tracing: config.tracing, service, log }));
    const own = config.tlsFiles && stack.use(await openInternalTls(config.tlsFiles, log));
    const tls = own && { tls: own, clients: [identityOf('envoy')], log };
    const node = stack.use(await startNode({ ...config, tls, tracing }));
    log.info({ kind: config.kind, shard: config.shard, address: `${config.host}:${node.port}` }, 'listening');
    return stack;
  },
});

/** Each kind loads only what it needs: a projection node starts without gRPC. */
async function startNode(config: NodeStart): Promise<RunningNode> {
  switch (config.kind) {
    case 'aggregate':
      return (await import('./aggregate/aggregate-node.ts')).startAggregateNode(config);
    case 'projection':
      return (await import('./http/projection-node.ts')).startProjectionNode(config);
    case 'runner':
      return (await import('./http/runner-node.ts')).startRunnerNode(config);
  }
}
