import { createLog, type Log } from '#platform/log.ts';
import { runProgram } from '#platform/program.ts';
import { type NodeConfig, readNodeConfig } from './config.ts';
import { NODE_LIMITS } from './limits.ts';
import type { RunningNode } from './running-node.ts';

let log: Log | undefined;

await runProgram({
  // The node's own drain ends before.
  drainMs: NODE_LIMITS.drainMs + 1_000,
  log: () => log,
  async start() {
    const config = readNodeConfig(process.env);
    log = createLog({ service: `node.${config.kind}.${config.shard}`, level: config.logLevel });
    const node = await startNode(config);
    log.info({ kind: config.kind, shard: config.shard, address: `${config.host}:${node.port}` }, 'listening');
    return node;
  },
});

/** Each kind loads only what it needs: a projection node starts without gRPC. */
async function startNode(config: NodeConfig): Promise<RunningNode> {
  switch (config.kind) {
    case 'aggregate':
      return (await import('./aggregate/aggregate-node.ts')).startAggregateNode(config);
    case 'projection':
      return (await import('./http/projection-node.ts')).startProjectionNode(config);
    case 'runner':
      return (await import('./http/runner-node.ts')).startRunnerNode(config);
  }
}
