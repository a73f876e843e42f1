import { appendFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { HEADER } from '#domain/headers.ts';
import { startAggregateNode } from '../../nodes/aggregate/aggregate-node.ts';
import { startProjectionNode } from '../../nodes/http/projection-node.ts';
import type { EndpointPorts, EndpointSpec } from './endpoint-process.ts';

/**
 * One endpoint of a shard of each kind, in a process that is killed. What it executes it writes down before it answers,
 * in a file that outlives it: a command or a piece of work that was executed and not answered is in there too.
 */
process.once('message', (spec: EndpointSpec) => void start(spec));
process.once('disconnect', () => process.exit());

async function start({ shard, journal, ports }: EndpointSpec): Promise<void> {
  const execute = (kind: string, marker: unknown) => appendFileSync(journal, `${kind} ${marker}\n`);
  const common = { shard, host: '127.0.0.1', logLevel: 'silent' } as const;
  const aggregate = await startAggregateNode(
    { ...common, kind: 'aggregate', port: ports?.aggregate ?? 0 },
    ({ payload }) => execute('aggregate', payload['marker']),
  );
  const projection = await startProjectionNode({ ...common, kind: 'projection', port: ports?.projection ?? 0 });
  const runner = await listen(
    worker(shard, (marker) => execute('runner', marker)),
    ports?.runner ?? 0,
  );
  process.send?.({ aggregate: aggregate.port, projection: projection.port, runner } satisfies EndpointPorts);
}

/** Work that nobody may repeat: done when it arrives, answered a while later. */
function worker(shard: string, execute: (marker: unknown) => void): Server {
  return createServer(async (request, response) => {
    if (request.method === 'POST') {
      const { marker, delay_ms } = await bodyOf(request);
      execute(marker);
      await sleep(Number(delay_ms ?? 0));
    }
    response.writeHead(200, { 'content-type': 'application/json', [HEADER.servedBy]: `runner/${shard}` });
    response.end('{}');
  });
}

async function bodyOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  let text = '';
  for await (const part of request) text += part;
  return Object(JSON.parse(text));
}

const listen = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
