import { connectNats } from '#adapters/nats/connection.ts';
import { createLog } from '#platform/log.ts';
import { BenchRouting } from './bench-routing.ts';
import type { PublisherReport, PublisherRequest } from './move-publisher.ts';

/** The process that publishes. Started by move-publisher.ts. */
let routing: BenchRouting | undefined;

const tell = (report: PublisherReport): void => {
  process.send?.(report);
};

async function carryOut(request: PublisherRequest) {
  const { id } = request;
  if (request.action === 'connect') {
    const link = await connectNats({
      url: request.nats,
      name: 'bench-publisher',
      log: createLog({ service: 'bench', level: 'silent' }),
    });
    routing = new BenchRouting(link);
    return undefined;
  }
  if (routing === undefined) throw new Error('not connected');
  if (request.action === 'publish_tenants') return routing.publishTenants(request);
  return routing.move(request.tenant, (move) => tell({ id, event: 'put', move }));
}

process.on('message', (request: PublisherRequest) => {
  const { id } = request;
  carryOut(request).then(
    (result) => tell({ id, event: 'done', ...(result === undefined ? {} : { result }) }),
    (error: unknown) => tell({ id, event: 'failed', reason: String(error) }),
  );
});
process.once('disconnect', () => process.exit());
