import { type Outcome, succeed } from '#domain/errors.ts';
import { type DiffPage, diffRoutingInSteps, tenantsOnChangedShardsInSteps } from '#domain/routing/diff.ts';
import type { RevisionDraft } from '#domain/routing/revision.ts';
import { runInTurns } from '#platform/event-loop.ts';
import type { RoutingStore } from '#ports/routing.ts';
import { withStorage } from './commit/commit-decision.ts';
import type { PublishedRevision, PublishPorts } from './publish-revision.ts';
import { NO_ROUTING, type RevisionDiff } from './routing-diff.ts';
import type { ShardValidation } from './validate-shards.ts';

/** What a publication would have done. */
export interface DryRun extends RevisionDiff {
  /** The revision it would have come after, 0 for none. */
  readonly revision: number;
  /** False when that revision has this content already. */
  readonly changed: boolean;
  /** Tenants that stay on a shard which itself would change: their requests would go to other endpoints. */
  readonly tenantsOnChangedShards: number;
  /** What an Envoy said of the shards that would change. */
  readonly validation: ShardValidation;
}

/**
 * Runs a publication against a store that publishes nothing, and tells what it would have changed. The publication is
 * the very use case that would do it, hence checks and refusals are the same; only a conflict with somebody who
 * publishes meanwhile cannot be foreseen.
 */
export async function dryRun(
  ports: PublishPorts,
  page: DiffPage,
  publication: (ports: PublishPorts) => Promise<Outcome<PublishedRevision>>,
): Promise<Outcome<DryRun>> {
  return withStorage(async () => {
    const parent = await ports.store.head();
    const revision = parent?.revision ?? 0;
    let draft: RevisionDraft | undefined;
    const store: RoutingStore = {
      head: async () => parent,
      knownHead: () => parent,
      revision: (number, near) => ports.store.revision(number, near),
      list: (wanted) => ports.store.list(wanted),
      publish: async (next) => {
        draft = next;
        return { ...next, manifest: '' };
      },
      inTurn: (work) => work(),
    };
    const outcome = await publication({ ...ports, store });
    if (!outcome.ok) return outcome;
    const { validation, validation_detail } = outcome.value;
    const before = parent ?? NO_ROUTING;
    const after = draft ?? before;
    const diff = await runInTurns(diffRoutingInSteps(before, after, page));
    return succeed({
      revision,
      changed: draft !== undefined,
      from: revision,
      to: draft?.revision ?? revision,
      ...diff,
      validation: {
        ...(validation === undefined ? {} : { validation }),
        ...(validation_detail === undefined ? {} : { validation_detail }),
      },
      tenantsOnChangedShards: await runInTurns(tenantsOnChangedShardsInSteps(after, diff)),
    });
  });
}
