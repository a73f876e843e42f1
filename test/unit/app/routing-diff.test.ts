import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument } from '#app/publish-revision.ts';
import { diffRevisions } from '#app/routing-diff.ts';
import { dryRun } from '#app/routing-dry-run.ts';
import { StoreError } from '#ports/key-value-store.ts';
import { FaultyStore } from '../../support/faulty-store.ts';
import { silentLog } from '../../support/nats.ts';
import { manyTenants } from '../../support/routing.ts';

const clock = { nowMs: () => Date.parse('2026-01-01T00:00:00.000Z') };
const page = { limit: 100 };

/** 2,000 tenants and three moves after that, each of another tenant, read by a process that knows nothing yet. */
async function history() {
  const store = new FaultyStore(createMemoryKeyValueStore(clock.nowMs));
  const ports = { store: new RevisionStore({ store, log: silentLog }), clock };
  await publishDocument(ports, { document: manyTenants({ tenants: 2_000, shards: 4 }), by: 'ann' });
  for (const [tenant, shard] of [
    ['t1', 's2'],
    ['t2', 's3'],
    ['t3', 's0'],
  ]) {
    await publishChanges(ports, { changes: { changes: [{ tenant, runner: shard }] }, by: 'ann' });
  }
  store.reads.length = 0;
  return { store, ports };
}

describe('the difference of two stored revisions', () => {
  it('is what was moved between them', async () => {
    const { ports } = await history();
    const diff = await diffRevisions(ports.store, { to: 4, from: 2, page });
    expect(diff).toMatchObject({
      ok: true,
      value: {
        from: 2,
        to: 4,
        moves: [
          { tenant: 't2', before: 's2', after: 's3' },
          { tenant: 't3', before: 's3', after: 's0' },
        ],
      },
    });
    expect(await diffRevisions(ports.store, { to: 9, from: undefined, page })).toMatchObject({ ok: false });
  });

  it('reads parts as there are changes, not as there are tenants', async () => {
    const { store, ports } = await history();
    await diffRevisions(ports.store, { to: 4, from: 1, page });
    const chunks = store.reads.filter((key) => key.startsWith('chunk.'));
    expect(chunks.length).toBeLessThanOrEqual(3);
    expect(store.reads.length).toBeLessThanOrEqual(10);
  });
});

describe('a dry run', () => {
  it('writes nothing at all and takes no turn', async () => {
    const { store, ports } = await history();
    store.writes.length = 0;
    let release: () => void = () => undefined;
    const busy = ports.store.inTurn(async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return { ok: true, value: undefined };
    });
    const change = { changes: { changes: [{ tenant: 't9', runner: null }] }, by: 'ann' };
    const tried = await dryRun(ports, page, (trying) => publishChanges(trying, change));
    expect(tried).toMatchObject({ ok: true, value: { revision: 4, to: 5, moves: [{ tenant: 't9', after: null }] } });
    expect(store.writes).toEqual([]);
    release();
    await busy;
  });

  it('is storage_unavailable, not nothing, when the storage is away', async () => {
    const { store, ports } = await history();
    store.faults.get = async () => {
      throw new StoreError('unavailable', 'away');
    };
    const change = { changes: { changes: [{ tenant: 't9', runner: null }] }, by: 'ann' };
    const tried = await dryRun(ports, page, (trying) => publishChanges(trying, change));
    expect(tried).toMatchObject({ ok: false, error: { code: 'storage_unavailable' } });
  });
});
