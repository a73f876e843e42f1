import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { manifestInSteps } from '#adapters/routing/parts.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument, rollback } from '#app/publish-revision.ts';
import { LIMITS } from '#domain/limits.ts';
import { findUnroutableInSteps } from '#domain/routing/closure.ts';
import { diffRoutingInSteps, tenantsOnChangedShardsInSteps } from '#domain/routing/diff.ts';
import { parseRoutingDocumentInSteps } from '#domain/routing/parse-routing-document.ts';
import { revisionFromDocumentInSteps, revisionFromRollbackInSteps, toDocument } from '#domain/routing/revision.ts';
import { documentText } from '#domain/routing/text/document-text.ts';
import type { Steps } from '#domain/steps.ts';
import { silentLog } from '../../support/nats.ts';
import { manyTenants, ROUTING_NOTE, routingDocument } from '../../support/routing.ts';

const TENANTS = 20_000;
const SLICES_PER_KIND = TENANTS / LIMITS.routingSliceMaxCount;

function counted<Value>(steps: Steps<Value>): { readonly value: Value; readonly steps: number } {
  let count = 1;
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) count += 1;
  return { value: step.value, steps: count };
}

function draftOf(document: unknown) {
  const parsed = counted(parseRoutingDocumentInSteps(document));
  if (!parsed.value.ok) throw new Error('the document is refused');
  const draft = counted(revisionFromDocumentInSteps(undefined, parsed.value.value, ROUTING_NOTE));
  if (draft.value === undefined) throw new Error('the document changes nothing');
  return { parsed, draft, snapshot: { ...draft.value, manifest: '' } };
}

describe('long work on routing', () => {
  it('comes in steps, so many that each of them is short', () => {
    const { parsed, draft, snapshot } = draftOf(manyTenants({ tenants: TENANTS, shards: 50 }));
    const other = draftOf(manyTenants({ tenants: TENANTS, shards: 49 })).snapshot;
    expect(parsed.steps).toBeGreaterThanOrEqual(3 * SLICES_PER_KIND);
    expect(draft.steps).toBeGreaterThanOrEqual(SLICES_PER_KIND);
    const buckets = LIMITS.placementChunksCount;
    expect(counted(revisionFromRollbackInSteps(snapshot, other, ROUTING_NOTE)).steps).toBeGreaterThanOrEqual(buckets);
    expect(counted(manifestInSteps(snapshot)).steps).toBeGreaterThanOrEqual(buckets);
    expect(counted(findUnroutableInSteps(undefined, snapshot)).steps).toBeGreaterThanOrEqual(buckets);
    expect(counted(diffRoutingInSteps(other, snapshot, { limit: 1 })).steps).toBeGreaterThanOrEqual(buckets);
    const changed = { added: [], removed: [], changed: ['s1'] };
    const shards = { aggregate: changed, projection: changed, runner: changed };
    expect(counted(tenantsOnChangedShardsInSteps(snapshot, { shards })).steps).toBeGreaterThanOrEqual(SLICES_PER_KIND);
    const text = counted(documentText(snapshot));
    expect(text.steps).toBeGreaterThanOrEqual(3 * SLICES_PER_KIND + buckets);
    expect(text.value).toBe(JSON.stringify(toDocument(snapshot)));
  });

  it('spells documents with tenants that are not placed for each kind, and without any', () => {
    const placed = { ...routingDocument({ acme: 's1', globex: 's2' }), projection_placement: { globex: 's1' } };
    for (const document of [placed, routingDocument({}), {}, { runner_shards: { s1: { endpoints: [] } } }]) {
      const { snapshot } = document === placed ? draftOf(placed) : draftOf({ ...routingDocument({}), ...document });
      expect(counted(documentText(snapshot)).value).toBe(JSON.stringify(toDocument(snapshot)));
    }
  });
});

/** A document that takes forty turns of the event loop to read: each of its shards uses one up. */
function slowDocument() {
  const document = routingDocument({ t1: 's1' });
  const shard = document['aggregate_shards']?.['s1'];
  const slow = {
    enumerable: true,
    get: () => {
      const endMs = performance.now() + LIMITS.sliceMaxMs;
      while (performance.now() < endMs);
      return shard;
    },
  };
  const names = Array.from({ length: 40 }, (_, index) => `s${index}`);
  const shards = Object.defineProperties({}, Object.fromEntries(names.map((name) => [name, slow])));
  return { ...document, aggregate_shards: shards };
}

describe('a publication while a whole document is worked on', () => {
  const open = async () => {
    const ports = {
      store: new RevisionStore({ store: createMemoryKeyValueStore(), log: silentLog }),
      clock: { nowMs: () => 0 },
    };
    await publishDocument(ports, { by: 'ann', document: routingDocument({ t1: 's1' }) });
    return ports;
  };
  const move = { by: 'bob', changes: { changes: [{ tenant: 't1', runner: 's2' }] } };

  it('gets its turn, and the document, which does not know of it, is a conflict', async () => {
    const ports = await open();
    const whole = publishDocument(ports, { by: 'ann', document: slowDocument() });
    expect(await publishChanges(ports, move)).toMatchObject({ ok: true, value: { revision: 2 } });
    expect(await whole).toMatchObject({ ok: false, error: { code: 'conflict', currentRevision: 2 } });
    const again = await publishDocument(ports, { by: 'ann', document: slowDocument() });
    expect(again).toMatchObject({ ok: true, value: { revision: 3 } });
  });

  it('is built upon by a document that is tried again', async () => {
    const ports = await open();
    const whole = publishDocument(ports, { by: 'ann', document: slowDocument(), retryOnConflict: true });
    expect(await publishChanges(ports, move)).toMatchObject({ ok: true, value: { revision: 2 } });
    expect(await whole).toMatchObject({ ok: true, value: { revision: 3 } });
    expect((await ports.store.head())?.placements.get('t1')?.runner).toEqual({ shard: 's1', epoch: 3 });
  });

  it('makes a conflict of a rollback that does not know of it', async () => {
    const ports = await open();
    const second = await publishDocument(ports, { by: 'ann', document: routingDocument({ t2: 's1' }) });
    expect(second).toMatchObject({ ok: true, value: { revision: 2 } });
    const [moved, back] = await Promise.all([publishChanges(ports, move), rollback(ports, { by: 'ann', revision: 1 })]);
    expect(moved).toMatchObject({ ok: true, value: { revision: 3 } });
    expect(back).toMatchObject({ ok: false, error: { code: 'conflict' } });
  });
});
