import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBucket } from '#adapters/nats/bucket.ts';
import type { NatsLink } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { RevisionSource } from '#adapters/routing/revision-source.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishDocument } from '#app/publish-revision.ts';
import { type NatsServer, silentLog, startNats } from '../../support/nats.ts';
import { routingDocument } from '../../support/routing.ts';
import { routingStoreSuite } from '../../support/routing-store.suite.ts';
import { until } from '../../support/wait.ts';

describe('routing revisions over a real nats-server', () => {
  let server: NatsServer;
  let link: NatsLink;
  let buckets = 0;
  beforeAll(async () => {
    server = await startNats();
    link = await server.connect();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  routingStoreSuite(async () => {
    buckets += 1;
    const bucket = `ROUTING_${buckets}`;
    await ensureBucket(link, { bucket, replicas: 1 });
    return new NatsKeyValueStore(link, bucket, silentLog);
  });

  it('survives a crash of the server: what was published is there, and the source catches up', async () => {
    await ensureBucket(link, { bucket: 'ROUTING_CRASH', replicas: 1 });
    const store = new NatsKeyValueStore(link, 'ROUTING_CRASH', silentLog);
    const ports = { store: new RevisionStore({ store, log: silentLog }), clock: { nowMs: Date.now } };
    await publishDocument(ports, { document: routingDocument({ acme: 's1' }), by: 'ann' });
    await using source = new RevisionSource({ store, log: silentLog });
    await until(() => source.current()?.revision === 1, { deadlineMs: 10_000, what: 'revision 1' });
    await server.kill();
    const away = await publishDocument(ports, { document: routingDocument({ acme: 's2' }), by: 'ann' });
    expect(away).toMatchObject({ ok: false, error: { code: 'storage_unavailable' } });
    expect(source.current()?.revision).toBe(1);
    await server.restart();
    const publish = () => publishDocument(ports, { document: routingDocument({ acme: 's2' }), by: 'ann' });
    await until(async () => (await publish()).ok, { deadlineMs: 20_000, what: 'the server to take revision 2' });
    await until(() => source.current()?.placements.get('acme')?.runner?.shard === 's2', {
      deadlineMs: 20_000,
      what: 'the source to catch up',
    });
  });
});
