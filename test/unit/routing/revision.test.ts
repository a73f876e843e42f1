import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { findUnroutable } from '#domain/routing/closure.ts';
import { placementTableOf } from '#domain/routing/placement-table.ts';
import { inlineChanges, type RevisionDraft, revisionFromChanges, toDocument } from '#domain/routing/revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import {
  parseRoutingDocument,
  revisionFromDocument,
  revisionFromRollback,
} from '../../support/fixtures/routing-at-once.ts';
import { shardsOf } from '../../support/generators/shards.ts';
import { ROUTING_NOTE as NOTE, routingDocument, snapshotOf } from '../../support/routing.ts';

const sealed = (draft: RevisionDraft | undefined): RoutingSnapshot => {
  if (draft === undefined) throw new Error('nothing changed');
  return { ...draft, manifest: '0'.repeat(64) };
};

/** Valid documents with few names, so that successive ones have much in common. */
const endpoints = fc.uniqueArray(
  fc.record({ address: fc.constantFrom('10.0.0.1', '10.0.0.2', 'node'), port: fc.constantFrom(1, 2) }),
  { minLength: 1, maxLength: 2, selector: ({ address, port }) => `${address} ${port}` },
);
const directoryOf = (kind: ServiceKind) => {
  const shard = shardsOf(kind, endpoints);
  return fc
    .dictionary(fc.constantFrom('s2', 's3', '10'), shard)
    .chain((others) => shard.map((first) => ({ s1: first, ...others })));
};
const kindPart = (kind: ServiceKind) =>
  directoryOf(kind).chain((shards) =>
    fc
      .dictionary(fc.constantFrom('acme', 'globex', 'constructor', '7'), fc.constantFrom(...Object.keys(shards)))
      .map((placement) => ({ shards, placement })),
  );
const documents = fc
  .tuple(kindPart('aggregate'), kindPart('projection'), kindPart('runner'))
  .map(([aggregate, projection, runner]) => ({
    aggregate_placement: aggregate.placement,
    aggregate_shards: aggregate.shards,
    projection_placement: projection.placement,
    projection_shards: projection.shards,
    runner_placement: runner.placement,
    runner_shards: runner.shards,
  }));

const parse = (document: unknown) => {
  const parsed = parseRoutingDocument(document);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value;
};

describe('revisionFromDocument', () => {
  it('numbers from 1 and counts each kind by what changed in it', () => {
    const first = snapshotOf(routingDocument({ acme: 's1' }));
    expect(first).toMatchObject({ revision: 1, parent: 0, kindRevisions: { aggregate: 1, projection: 1, runner: 1 } });
    const document = routingDocument({ acme: 's1' });
    const second = snapshotOf({ ...document, projection_placement: { acme: 's2' } }, first);
    expect(second).toMatchObject({ revision: 2, parent: 1, kindRevisions: { aggregate: 1, projection: 2, runner: 1 } });
    expect(second.placements.get('acme')).toEqual({
      aggregate: { shard: 's1', epoch: 1 },
      projection: { shard: 's2', epoch: 2 },
      runner: { shard: 's1', epoch: 1 },
    });
    const third = snapshotOf({ ...routingDocument({ acme: 's1' }, ['s1', 's2', 's3']), ...{} }, second);
    expect(third.kindRevisions).toEqual({ aggregate: 3, projection: 3, runner: 3 });
  });

  it('round-trips through the contract document', () => {
    fc.assert(
      fc.property(documents, (document) => {
        const snapshot = sealed(revisionFromDocument(undefined, parse(document), NOTE));
        const again = parse(JSON.parse(JSON.stringify(toDocument(snapshot))));
        expect(revisionFromDocument(snapshot, again, NOTE)).toBeUndefined();
      }),
    );
  });

  it('shares with its parent every shard, directory and bucket in which nothing changed', () => {
    fc.assert(
      fc.property(documents, documents, (one, two) => {
        const parent = sealed(revisionFromDocument(undefined, parse(one), NOTE));
        const draft = revisionFromDocument(parent, parse(two), NOTE);
        if (draft === undefined) {
          expect(toDocument(snapshotOf(two))).toEqual(toDocument(parent));
          return;
        }
        for (const kind of SERVICE_KINDS) {
          for (const [name, shardNow] of draft.shards[kind]) {
            const before = parent.shards[kind].get(name);
            expect(before === shardNow).toBe(JSON.stringify(before) === JSON.stringify(shardNow));
          }
          const before = JSON.stringify(toDocument(parent)[`${kind}_shards`]);
          const same = before === JSON.stringify(toDocument(draft)[`${kind}_shards`]);
          expect(parent.shards[kind] === draft.shards[kind]).toBe(same);
        }
        expect(toDocument(draft)).toEqual(toDocument(snapshotOf(two)));
      }),
    );
  });
});

describe('revisionFromChanges', () => {
  it('is undefined when the tenants are there already', () => {
    const parent = snapshotOf(routingDocument({ acme: 's1' }));
    const nothing = [
      { tenant: 'acme', aggregate: 's1' },
      { tenant: 'unknown', runner: null },
    ];
    expect(revisionFromChanges(parent, nothing, NOTE)).toBeUndefined();
    const draft = revisionFromChanges(parent, [{ tenant: 'acme', aggregate: 's2' }], { ...NOTE, note: 'move' });
    expect(draft).toMatchObject({ revision: 2, note: 'move', kindRevisions: { aggregate: 2, projection: 1 } });
    expect(draft?.shards).toBe(parent.shards);
  });
});

describe('revisionFromRollback', () => {
  it('brings an earlier content back under a new number, with new epochs for whoever moves', () => {
    const first = snapshotOf(routingDocument({ acme: 's1', globex: 's2' }));
    const second = snapshotOf(routingDocument({ acme: 's2', globex: 's2' }), first);
    const third = sealed(revisionFromRollback(second, first, NOTE));
    expect(third.revision).toBe(3);
    expect(toDocument(third)).toEqual(toDocument(first));
    expect(third.placements.get('acme')?.aggregate).toEqual({ shard: 's1', epoch: 3 });
    expect(third.placements.get('globex')?.aggregate).toEqual({ shard: 's2', epoch: 1 });
    expect(revisionFromRollback(third, first, NOTE)).toBeUndefined();
  });

  it('gives the content of the earlier one from any state', () => {
    fc.assert(
      fc.property(documents, documents, (one, two) => {
        const target = sealed(revisionFromDocument(undefined, parse(one), NOTE));
        const draft = revisionFromDocument(target, parse(two), NOTE);
        if (draft === undefined) return;
        const back = revisionFromRollback(sealed(draft), target, NOTE);
        expect(back && toDocument(back)).toEqual(toDocument(target));
      }),
    );
  });
});

describe('inlineChanges', () => {
  it('is what a reader of the parent has to apply', () => {
    fc.assert(
      fc.property(documents, documents, (one, two) => {
        const parent = sealed(revisionFromDocument(undefined, parse(one), NOTE));
        const placed = { ...parse(one), placements: parse({ ...one, ...onlyPlacements(two, one) }).placements };
        const next = revisionFromDocument(parent, placed, NOTE);
        if (next === undefined) return;
        const changes = inlineChanges(parent, next);
        if (changes === undefined) throw new Error('few changes must be inline');
        const applied = parent.placements.with(changes, next.revision);
        expect([...applied.entries()].sort()).toEqual([...next.placements.entries()].sort());
      }),
    );
  });

  it('is left out when the shards differ, when there is no parent and when there are too many', () => {
    const parent = snapshotOf(routingDocument({}));
    expect(inlineChanges(undefined, parent)).toBeUndefined();
    expect(inlineChanges(parent, snapshotOf(routingDocument({}, ['s1']), parent))).toBeUndefined();
    const tenants = (count: number) =>
      routingDocument(Object.fromEntries(Array.from({ length: count }, (_, index) => [`t${index}`, 's1'])));
    const most = LIMITS.inlineChangesMaxCount;
    expect(inlineChanges(parent, snapshotOf(tenants(most), parent))).toHaveLength(most);
    expect(inlineChanges(parent, snapshotOf(tenants(most + 1), parent))).toBeUndefined();
  });
});

describe('findUnroutable', () => {
  const base = snapshotOf(routingDocument({ acme: 's1' }));

  it('finds a placement onto nothing where only the placements changed', () => {
    const placements = base.placements.with([{ tenant: 'globex', runner: 'gone' }], 2);
    expect(findUnroutable(base, { ...base, placements })).toMatch(/globex .* runner\/gone/);
    expect(findUnroutable(base, base)).toBeUndefined();
  });

  it('finds a tenant in a shared bucket whose shard was taken away or emptied', () => {
    const { aggregate, projection } = base.shards;
    const runner = new Map(base.shards.runner);
    runner.delete('s1');
    expect(findUnroutable(base, { ...base, shards: { aggregate, projection, runner } })).toMatch(/acme .* runner\/s1/);
    runner.set('s1', { endpoints: [], protocol: 'h2' });
    expect(findUnroutable(base, { ...base, shards: { aggregate, projection, runner } })).toMatch(/acme .* runner\/s1/);
  });

  it('looks at everything without a base', () => {
    const placements = placementTableOf([['acme', { runner: { shard: 'gone', epoch: 1 } }]]);
    expect(findUnroutable(undefined, { ...base, placements })).toMatch(/acme/);
  });
});

/** The placements of `from`, with shards that `onto` does not have replaced by one it has. */
function onlyPlacements(from: Record<string, unknown>, onto: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    SERVICE_KINDS.map((kind) => {
      const known = Object.keys(onto[`${kind}_shards`] ?? {});
      const placements = Object.entries(from[`${kind}_placement`] ?? {});
      return [`${kind}_placement`, Object.fromEntries(placements.map(([t, s]) => [t, known.includes(s) ? s : 's1']))];
    }),
  );
}
