import { startAggregateNode } from '../../nodes/aggregate/aggregate-node.ts';
import { startProjectionNode } from '../../nodes/http/projection-node.ts';
import type { RunningNode } from '../../nodes/running-node.ts';
import type { FarmAnswer, FarmRequest } from './node-farm.ts';

/** Many reference nodes in one process, each with a port and a memory of its own. Started by node-farm.ts. */
const nodes = new Map<string, RunningNode>();

async function start({ kind, shard }: FarmRequest): Promise<number> {
  const startNode = kind === 'aggregate' ? startAggregateNode : startProjectionNode;
  const node = await startNode({ kind, shard, host: '127.0.0.1', port: 0, logLevel: 'silent' });
  nodes.set(`${kind}/${shard}`, node);
  return node.port;
}

/** Nobody listens on its port from then on. A failure ends the process, which no request survives unnoticed. */
async function end({ kind, shard }: FarmRequest): Promise<void> {
  const name = `${kind}/${shard}`;
  await nodes.get(name)?.[Symbol.asyncDispose]();
  nodes.delete(name);
}

const tell = (answer: FarmAnswer): void => void process.send?.(answer);

process.on('message', (request: FarmRequest) => {
  const { number, endAfterMs } = request;
  if (endAfterMs !== undefined) setTimeout(() => void end(request), endAfterMs);
  else
    start(request).then(
      (port) => tell({ number, port }),
      (error: unknown) => tell({ number, error: String(error) }),
    );
});
process.once('disconnect', () => process.exit());
