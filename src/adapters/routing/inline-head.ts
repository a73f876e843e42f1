import type { FieldError } from '#domain/errors.ts';
import type { Result } from '#domain/result.ts';
import { parseObject } from '#domain/routing/canonical.ts';
import { headText } from '#domain/routing/head.ts';
import { parseRoutingDocumentInSteps, type RoutingDocument } from '#domain/routing/parse-routing-document.ts';
import { revisionFromDocumentInSteps } from '#domain/routing/revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { runInTurns } from '#platform/event-loop.ts';
import type { Log } from '#platform/log.ts';
import type { Clock } from '#ports/clock.ts';
import { type KeyValueStore, type StoredRecord, StoreError } from '#ports/key-value-store.ts';
import type { HeadStatus } from '#ports/routing.ts';
import { writeHeadStatus } from './head-status.ts';
import { HEAD_KEY } from './keys.ts';
import type { HeadState, RevisionStore } from './revision-store.ts';
import { headOf } from './revision-writer.ts';

export interface AdoptOptions {
  readonly store: KeyValueStore;
  readonly revisions: RevisionStore;
  readonly clock: Clock;
  readonly log: Log;
}

/** The author that revisions made of hand-put tables carry. */
const BY_HAND = 'kv';

/**
 * Turns what an operator put into `head` by hand (`nats kv put ROUTING head '{"table":{...}}'`) into a proper revision
 * after the last proper one, or, when it is mistaken, writes the reasons to `status.head` and puts the last good head
 * back. Any number of replicas may do it at once: one wins by compare-and-set.
 * @returns what was done; `none` when `head` holds a revision, `superseded` when somebody else was quicker
 * @throws StoreError
 */
export async function adoptInlineHead(options: AdoptOptions): Promise<HeadStatus | 'none' | 'superseded'> {
  const state = await options.revisions.headState();
  if (state.form === 'none' || state.form === 'revision') return 'none';
  if (state.form === 'damaged' && isForeignSchema(state.record)) {
    // Written by a newer version of the gateway during an upgrade: not ours to replace.
    options.log.warn({ reason: state.reason }, 'head is of a schema this version does not know');
    return 'none';
  }
  try {
    const last = await options.revisions.lastProper();
    const parsed = await documentOf(state);
    const status = parsed.ok
      ? await publish(options, { state, last, document: parsed.value })
      : await refuse(options, { state, last, errors: parsed.error });
    return status;
  } catch (error) {
    if (error instanceof StoreError && error.kind === 'conflict') return 'superseded';
    throw error;
  }
}

type Foreign = Exclude<HeadState, { form: 'none' } | { form: 'revision' }>;

async function documentOf(state: Foreign): Promise<Result<RoutingDocument, readonly FieldError[]>> {
  if (state.form === 'inline') return runInTurns(parseRoutingDocumentInSteps(state.table));
  return { ok: false, error: [{ pointer: '', code: 'wrong_type', detail: state.reason }] };
}

async function publish(
  { store, revisions, clock, log }: AdoptOptions,
  found: { state: Foreign; last: RoutingSnapshot | undefined; document: RoutingDocument },
): Promise<HeadStatus> {
  const { state, last, document } = found;
  const at = new Date(clock.nowMs()).toISOString();
  const note = state.form === 'inline' ? state.note : '';
  const draft = await runInTurns(revisionFromDocumentInSteps(last, document, { at, by: BY_HAND, note }));
  if (draft === undefined) await restore(store, state.record, last);
  else await revisions.publishAt(draft, last, state.record.revision);
  const status: HeadStatus = {
    source: 'inline',
    state: draft === undefined ? 'unchanged' : 'published',
    at,
    revision: draft?.revision ?? last?.revision ?? 0,
    detail: draft === undefined ? 'the table equals the current revision' : 'the table is a revision now',
  };
  await writeHeadStatus(store, status, log);
  log.info({ status }, 'a table put into head by hand was adopted');
  return status;
}

async function refuse(
  { store, clock, log }: AdoptOptions,
  found: { state: Foreign; last: RoutingSnapshot | undefined; errors: readonly FieldError[] },
): Promise<HeadStatus> {
  const status: HeadStatus = {
    source: 'inline',
    state: 'refused',
    at: new Date(clock.nowMs()).toISOString(),
    revision: found.last?.revision ?? 0,
    detail: 'what was put into head is refused; the last good revision was put back',
    errors: found.errors,
  };
  // The reasons first: whoever sees the old head come back finds them there.
  await writeHeadStatus(store, status, log);
  await restore(store, found.state.record, found.last);
  log.warn({ status }, 'what was put into head by hand is refused');
  return status;
}

/** Puts the last good head back, or removes the key when there never was one. @throws StoreError */
async function restore(store: KeyValueStore, record: StoredRecord, last: RoutingSnapshot | undefined): Promise<void> {
  const expect = record.revision;
  if (last === undefined) await store.commit([{ key: HEAD_KEY, expect }]);
  else {
    const value = Buffer.from(headText(headOf(last, last.manifest, undefined)));
    await store.commit([{ key: HEAD_KEY, value, expect }]);
  }
}

const isForeignSchema = (record: StoredRecord): boolean =>
  typeof parseObject(Buffer.from(record.value).toString('utf8'))?.['schema'] === 'number';
