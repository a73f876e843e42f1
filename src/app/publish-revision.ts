import { type Failure, type Outcome, refuse, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { fail } from '#domain/result.ts';
import { parseChanges } from '#domain/routing/parse-changes.ts';
import { parseRoutingDocumentInSteps } from '#domain/routing/parse-routing-document.ts';
import {
  type RevisionDraft,
  revisionFromChanges,
  revisionFromDocumentInSteps,
  revisionFromRollbackInSteps,
} from '#domain/routing/revision.ts';
import type { KindRevisions, RevisionNote, RoutingSnapshot } from '#domain/routing/types.ts';
import { runInTurns } from '#platform/event-loop.ts';
import type { Clock } from '#ports/clock.ts';
import { StoreError } from '#ports/key-value-store.ts';
import type { RoutingStore } from '#ports/routing.ts';
import type { ShardValidator } from '#ports/shard-validator.ts';
import { type ShardValidation, validateShards } from './validate-shards.ts';

export interface PublishPorts {
  readonly store: RoutingStore;
  readonly clock: Clock;
  /** Asked about shards that would change; absent: nobody is asked. */
  readonly validator?: ShardValidator;
}

/** Who publishes and why. */
export interface PublishRequest {
  readonly by: string;
  readonly note?: string | undefined;
  /** The revision the caller has seen (If-Match); another current one fails with `precondition_failed`. */
  readonly expectedRevision?: number | undefined;
}

/** The answer to a publication, in the names of the contract. */
export interface PublishedRevision extends ShardValidation {
  readonly revision: number;
  readonly kind_revisions: KindRevisions;
  /** False when the current revision had this content already and was left as it is. */
  readonly changed: boolean;
}

/*
 * Each publication takes its turn among those of this process. Every one may also fail with `overloaded`: too many
 * wait, nothing was published. Long ones are worked on in slices, others run in between: a draft is made of the one
 * parent it was begun with, which never changes, and is published only if that still stands (compare-and-set).
 */

/**
 * Publishes a whole routing document as the next revision. Fails with `validation_failed` and one entry per mistake, or
 * per shard that Envoy refuses, `conflict` when another revision came first (the document was written without knowing
 * it, so it is not tried again unless `retryOnConflict`), `precondition_failed`, `storage_unavailable`.
 */
export async function publishDocument(
  ports: PublishPorts,
  request: PublishRequest & { readonly document: unknown; readonly retryOnConflict?: boolean },
): Promise<Outcome<PublishedRevision>> {
  const retry = request.retryOnConflict === true;
  // Others may publish while it is read: what stands is asked before.
  const seen = retry ? undefined : await revisionNow(ports.store);
  const parsed = await runInTurns(parseRoutingDocumentInSteps(request.document));
  if (!parsed.ok) return refuse('validation_failed', 'The routing document is refused', parsed.error);
  return publish(ports, request, {
    attempts: retry ? LIMITS.conflictRetriesMaxCount + 1 : 1,
    seen,
    wanted: async () => parsed.value,
    draft: async (parent, note) => succeed(await runInTurns(revisionFromDocumentInSteps(parent, parsed.value, note))),
  });
}

/**
 * Publishes small changes of placements (`{"changes":[...],"note?"}`) on top of the current revision, whichever it is:
 * on a conflict they are checked against the new one and tried again. A note in the request goes before the caller's.
 */
export async function publishChanges(
  ports: PublishPorts,
  request: PublishRequest & { readonly changes: unknown },
): Promise<Outcome<PublishedRevision>> {
  return publish(ports, request, {
    attempts: LIMITS.conflictRetriesMaxCount + 1,
    optimistic: true,
    draft: async (parent, note) => {
      const parsed = parseChanges(request.changes, parent);
      if (!parsed.ok) return refuse('validation_failed', 'The changes are refused', parsed.error);
      if (parent === undefined) return refuseEmpty();
      const { changes, note: text = note.note } = parsed.value;
      return succeed(revisionFromChanges(parent, changes, { ...note, note: text }));
    },
  });
}

/**
 * Publishes a new revision with the content of an earlier one. Fails with `not_found` when that one is not kept, else
 * as publishDocument.
 */
export async function rollback(
  ports: PublishPorts,
  request: PublishRequest & { readonly revision: number },
): Promise<Outcome<PublishedRevision>> {
  return publish(ports, request, {
    attempts: 1,
    seen: await revisionNow(ports.store),
    wanted: () => ports.store.revision(request.revision),
    draft: async (parent, note) => {
      const target = await ports.store.revision(request.revision);
      if (parent === undefined || target === undefined) {
        return refuse('not_found', `Revision ${request.revision} is not kept`);
      }
      return succeed(await runInTurns(revisionFromRollbackInSteps(parent, target, note)));
    },
  });
}

interface Plan {
  readonly attempts: number;
  /** Whether it may begin with the parent this process knows: right for what is tried again on a conflict anyway. */
  readonly optimistic?: boolean;
  /**
   * The revision that stood when the request arrived, where one published between that and its turn is a conflict:
   * right for whole contents, which were composed without knowing it and would undo it.
   */
  readonly seen?: Outcome<RoutingSnapshot | undefined> | undefined;
  /** What `seen` would be replaced by. */
  readonly wanted?: () => Promise<Pick<RoutingSnapshot, 'shards'> | undefined>;
  /** The next revision; undefined when it would equal `parent`. */
  readonly draft: (
    parent: RoutingSnapshot | undefined,
    note: RevisionNote,
  ) => Promise<Outcome<RevisionDraft | undefined>>;
}

/** One publication when its turn has come. */
interface Turn {
  readonly note: RevisionNote;
  /** The revision the caller wants to replace, if it said so. */
  readonly expectedRevision: number | undefined;
  /** The revision that stood when the request of a whole content arrived. */
  readonly seenRevision: number | undefined;
}

async function publish(
  { store, clock, validator }: PublishPorts,
  request: PublishRequest,
  plan: Plan,
): Promise<Outcome<PublishedRevision>> {
  const text = request.note ?? '';
  if (text.length > LIMITS.noteMaxChars) {
    const error = { pointer: '/note', code: 'too_many', detail: `at most ${LIMITS.noteMaxChars} characters may be` };
    return refuse('validation_failed', 'The note is too long', [error]);
  }
  const { seen } = plan;
  if (seen?.ok === false) return seen;
  const seenRevision = seen && (seen.value?.revision ?? 0);
  // Before the turn, which others wait for: what is published in between is a conflict anyway.
  const isWanted = request.expectedRevision === undefined || request.expectedRevision === seenRevision;
  const validated = await validate(isWanted ? validator : undefined, plan);
  if (!validated.ok) return validated;
  const outcome = await store.inTurn<PublishedRevision>(async () => {
    try {
      const note = { at: new Date(clock.nowMs()).toISOString(), by: request.by, note: text };
      const turn = { note, expectedRevision: request.expectedRevision, seenRevision };
      const early = plan.optimistic === true ? await publishOnKnown(store, plan, turn) : undefined;
      return early ?? (await publishOnHead(store, plan, turn));
    } catch (error) {
      return refuseStorage(error);
    }
  });
  return outcome.ok ? succeed({ ...outcome.value, ...validated.value }) : outcome;
}

async function validate(
  validator: ShardValidator | undefined,
  { seen, wanted }: Plan,
): Promise<Outcome<ShardValidation>> {
  if (validator === undefined || seen?.ok !== true || wanted === undefined) return succeed({});
  try {
    return await validateShards(validator, seen.value, await wanted());
  } catch (error) {
    return refuseStorage(error);
  }
}

/**
 * Publishes on top of the newest revision this process knows, which saves the read of the head. Undefined when nothing
 * came of it, for whatever reason: a newer revision may stand in the store, so only a success says anything.
 */
async function publishOnKnown(
  store: RoutingStore,
  plan: Plan,
  { note, expectedRevision }: Turn,
): Promise<Outcome<PublishedRevision> | undefined> {
  const parent = store.knownHead();
  if (parent === undefined || parent.revision !== (expectedRevision ?? parent.revision)) return undefined;
  const draft = await plan.draft(parent, note);
  if (!draft.ok || draft.value === undefined) return undefined;
  const next = await publishOnce(store, draft.value, parent);
  return next === undefined ? undefined : published(next, true);
}

async function publishOnHead(
  store: RoutingStore,
  plan: Plan,
  { note, expectedRevision, seenRevision }: Turn,
): Promise<Outcome<PublishedRevision>> {
  for (let attempt = 1; attempt <= plan.attempts; attempt += 1) {
    const parent = await store.head();
    if (expectedRevision !== undefined && expectedRevision !== (parent?.revision ?? 0)) {
      return refusePrecondition(parent);
    }
    const draft = await plan.draft(parent, note);
    if (!draft.ok) return draft;
    if (draft.value === undefined) return parent === undefined ? refuseEmpty() : published(parent, false);
    if (seenRevision !== undefined && seenRevision !== (parent?.revision ?? 0)) return refuseConflict(parent);
    const next = await publishOnce(store, draft.value, parent);
    if (next !== undefined) return published(next, true);
  }
  return refuseConflict(await store.head());
}

/** Undefined when another revision came first. */
async function publishOnce(
  store: RoutingStore,
  draft: RevisionDraft,
  parent: RoutingSnapshot | undefined,
): Promise<RoutingSnapshot | undefined> {
  try {
    return await store.publish(draft, parent);
  } catch (error) {
    if (error instanceof StoreError && error.kind === 'conflict') return undefined;
    throw error;
  }
}

const published = (snapshot: RoutingSnapshot, changed: boolean) =>
  succeed({ revision: snapshot.revision, kind_revisions: snapshot.kindRevisions, changed });

const refuseEmpty = () => refuse('not_found', 'No routing revision is published yet');

/** The revision that stands when a request arrives. */
async function revisionNow(store: RoutingStore): Promise<Outcome<RoutingSnapshot | undefined>> {
  try {
    return succeed(await store.head());
  } catch (error) {
    return refuseStorage(error);
  }
}

const refusePrecondition = (current: RoutingSnapshot | undefined) =>
  fail<Failure>({
    code: 'precondition_failed',
    detail: `The current revision is ${current?.revision ?? 0}`,
    currentRevision: current?.revision ?? 0,
  });

function refuseConflict(winner: RoutingSnapshot | undefined) {
  const what = winner === undefined ? 'Another change' : `Revision ${winner.revision} by ${winner.by} (${winner.at})`;
  return fail<Failure>({
    code: 'conflict',
    detail: `${what} was published first; look at it and publish again`,
    ...(winner === undefined ? {} : { currentRevision: winner.revision }),
  });
}

/** `invalid` from a store is a bug of ours and is thrown on. */
function refuseStorage(error: unknown) {
  if (!(error instanceof StoreError) || error.kind === 'invalid') throw error;
  return error.kind === 'outcome_unknown'
    ? refuse('storage_unavailable', 'The storage did not say whether the revision was published; look before retrying')
    : refuse('storage_unavailable', 'The storage cannot be reached or read; nothing was published');
}
