import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBucket } from '#adapters/nats/bucket.ts';
import type { NatsLink } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { RevisionSource } from '#adapters/routing/revision-source.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishDocument } from '#app/publish-revision.ts';
import { FaultyStore } from '../../support/faulty-store.ts';
import { countTurns } from '../../support/fixtures/count-turns.ts';
import { type NatsServer, silentLog, startNats } from '../../support/nats.ts';
import { manyTenants } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';

const TENANTS = 100_000;
/** Of at most `sliceMaxMs` and a step each: a machine would have to be many times quicker than ours to need fewer. */
const TURNS_MIN_COUNT = 10;

let server: NatsServer;
let link: NatsLink;
beforeAll(async () => {
  server = await startNats();
  link = await server.connect();
  await ensureBucket(link, { bucket: 'ROUTING', replicas: 1 });
});
afterAll(() => server[Symbol.asyncDispose]());

it('works on a document of 100,000 tenants between the requests of others', async () => {
  using counted = countTurns();
  const store = new FaultyStore(new NatsKeyValueStore(link, 'ROUTING', silentLog));
  // Turns until the first part is written, without those in which the storage was waited for.
  let waited = 0;
  let given: number | undefined;
  store.faults.get = async (_, real) => {
    const asked = counted.turns();
    const record = await real();
    waited += counted.turns() - asked;
    return record;
  };
  store.faults.commit = (_, real) => {
    given ??= counted.turns() - waited;
    return real();
  };
  const ports = { store: new RevisionStore({ store, log: silentLog }), clock: { nowMs: Date.now } };
  const document = manyTenants({ tenants: TENANTS, shards: 50 });
  expect(await publishDocument(ports, { document, by: 'ann' })).toMatchObject({ ok: true, value: { revision: 1 } });
  expect(given).toBeGreaterThanOrEqual(TURNS_MIN_COUNT);

  await using source = new RevisionSource({ store: new NatsKeyValueStore(link, 'ROUTING', silentLog), log: silentLog });
  const loaded = await until(() => source.current(), { deadlineMs: 30_000, what: 'the revision' });
  expect(loaded.placements.size).toBe(TENANTS);
  for (const index of [0, 49, 99_999]) {
    const place = { shard: `s${index % 50}`, epoch: 1 };
    expect(loaded.placements.get(`t${index}`)).toEqual({ aggregate: place, projection: place, runner: place });
  }
});
