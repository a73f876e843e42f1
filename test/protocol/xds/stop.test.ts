import { status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { startAdsServer } from '../../../xds/ads/server.ts';
import { silentLog } from '../../support/nats.ts';
import { routingDocument, snapshotOf } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';
import { AdsClient } from './rig/ads-client.ts';
import { newControlPlane } from './rig/edge.ts';

/** How the ADS server ends: each Envoy is told to go elsewhere, with everything it was sent before. */
it('ends each stream as unavailable after what was sent on it, at once, and takes no stream any more', async () => {
  const { controlPlane } = newControlPlane({ port: 1, tlsPort: 2, accessLogPath: '/dev/null' });
  controlPlane.applyRevision(snapshotOf(routingDocument({ acme: 's1' })));
  const server = await startAdsServer({
    listen: { host: '127.0.0.1', port: 0 },
    host: controlPlane,
    log: silentLog,
  });
  using first = new AdsClient(server.address);
  using second = new AdsClient(server.address);
  for (const client of [first, second]) {
    client.ask('cluster');
    await client.next();
  }
  expect(server.streamsCount()).toBe(2);
  const startedAt = performance.now();
  // What is written in the same moment must still arrive: a route configuration is a stamp.
  controlPlane.applyRevision(snapshotOf(routingDocument({ acme: 's2' }), snapshotOf(routingDocument({ acme: 's1' }))));
  await server[Symbol.asyncDispose]();
  expect(performance.now() - startedAt).toBeLessThan(1_500);
  for (const client of [first, second]) {
    await until(() => client.ended, { deadlineMs: 5_000, what: 'the end of the stream' });
    expect(client.ended).toEqual({ code: status.UNAVAILABLE, details: 'this replica is stopping' });
  }
  expect(server.streamsCount()).toBe(0);
  using late = new AdsClient(server.address);
  late.ask('cluster');
  await until(() => late.ended, { deadlineMs: 5_000, what: 'the end of a late stream' });
  expect(late.ended).toMatchObject({ code: status.UNAVAILABLE });
});
