import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { type DiffPage, diffRoutingInSteps, type RoutingContent, type RoutingDiff } from '#domain/routing/diff.ts';
import { EMPTY_PLACEMENTS } from '#domain/routing/placement-table.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { runInTurns } from '#platform/event-loop.ts';
import type { RoutingStore } from '#ports/routing.ts';

/** What differs between two revisions by number; 0 is the emptiness before the first. */
export interface RevisionDiff extends RoutingDiff {
  readonly from: number;
  readonly to: number;
}

/** What there is before the first revision. */
export const NO_ROUTING: RoutingContent = {
  shards: { aggregate: new Map(), projection: new Map(), runner: new Map() },
  placements: EMPTY_PLACEMENTS,
};

/**
 * What `to` has otherwise than `from` (default: its parent). Fails with `not_found` when one of them is not kept.
 * @throws StoreError
 */
export async function diffRevisions(
  store: Pick<RoutingStore, 'revision'>,
  asked: { readonly to: number; readonly from: number | undefined; readonly page: DiffPage },
): Promise<Outcome<RevisionDiff>> {
  const to = await store.revision(asked.to);
  if (to === undefined) return notKept(asked.to);
  const from = asked.from ?? to.parent;
  const base = from === 0 ? NO_ROUTING : await earlier(store, from, to);
  if (base === undefined) return notKept(from);
  return succeed({ from, to: asked.to, ...(await runInTurns(diffRoutingInSteps(base, to, asked.page))) });
}

/** Read next to the later one, both share what they have alike, and the comparison passes it over. */
const earlier = async (store: Pick<RoutingStore, 'revision'>, revision: number, near: RoutingSnapshot) =>
  revision === near.revision ? near : store.revision(revision, near);

const notKept = (revision: number) => refuse('not_found', `Revision ${revision} is not kept`);
