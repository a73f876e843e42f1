import { startAggregateNode } from '../../nodes/aggregate/aggregate-node.ts';
import { startProjectionNode } from '../../nodes/http/projection-node.ts';
import type { RunningNode } from '../../nodes/running-node.ts';
import type { FarmAnswer, FarmRequest } from './node-farm.ts';

/** Many reference nodes in one process, each with a port and a memory of its own. Started by node-farm.ts. */
const nodes = new Map<string, RunningNode>();

async function handle({ action, kind, shard }: FarmRequest): Promise<number> {
  const name = `${kind}/${shard}`;
  if (action === 'start') {
    const start = kind === 'aggregate' ? startAggregateNode : startProjectionNode;
    const node = await start({ kind, shard, host: '127.0.0.1', port: 0, logLevel: 'silent' });
    nodes.set(name, node);
    return node.port;
  }
  await nodes.get(name)?.[Symbol.asyncDispose]();
  nodes.delete(name);
  return 0;
}

process.on('message', (request: FarmRequest) => {
  const answer = (rest: Omit<FarmAnswer, 'number'>): void => void process.send?.({ number: request.number, ...rest });
  handle(request).then(
    (port) => answer({ port }),
    (error: unknown) => answer({ error: String(error) }),
  );
});
process.once('disconnect', () => process.exit());
