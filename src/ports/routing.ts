import type { FieldError, Outcome } from '#domain/errors.ts';
import type { RevisionDraft } from '#domain/routing/revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';

/** The routing revisions a process holds in memory, fed by a watch. */
export interface RoutingSource {
  /** The newest complete revision, or undefined before the first one was loaded. */
  current(): RoutingSnapshot | undefined;
  /** Calls back for each revision applied from now on, in order. @returns a function that ends it. */
  onRevision(listener: (snapshot: RoutingSnapshot) => void): () => void;
  /** Milliseconds since the store last proved that nothing is missing. */
  stalenessMs(): number;
}

/** Where routing revisions are published and kept. */
export interface RoutingStore {
  /** The newest published revision, read from the store now. @throws StoreError */
  head(): Promise<RoutingSnapshot | undefined>;
  /**
   * The newest published revision as far as this process knows, without asking the store: a newer one may stand there.
   * Good as the parent of a publication, which then fails with `conflict`, and for no other decision.
   */
  knownHead(): RoutingSnapshot | undefined;
  /**
   * A kept revision, or undefined when there is none (never published, or no longer kept). It shares what is equal with
   * `near`, else with the newest revision in memory: only the rest is read. @throws StoreError
   */
  revision(revision: number, near?: RoutingSnapshot): Promise<RoutingSnapshot | undefined>;
  /** Kept revisions, newest first, without their contents. @throws StoreError */
  list(page: { readonly limit: number; readonly before?: number }): Promise<readonly RevisionSummary[]>;
  /**
   * Publishes `next` as the successor of `parent` by compare-and-set on the head. @returns it with its manifest.
   * @throws StoreError `conflict` when another revision was published meanwhile.
   */
  publish(next: RevisionDraft, parent: RoutingSnapshot | undefined): Promise<RoutingSnapshot>;
  /**
   * Runs whole publications of this process (reading the head, drafting, publishing) one after another, so that they
   * conflict with those of other processes only. Fails with `overloaded`, `work` not begun, when
   * `publicationsWaitingMaxCount` others wait or its turn does not come within `publicationWaitMaxMs`. `work` must not
   * take a turn itself.
   */
  inTurn<Value>(work: () => Promise<Outcome<Value>>): Promise<Outcome<Value>>;
}

export type RevisionSummary = Pick<
  RoutingSnapshot,
  'revision' | 'parent' | 'manifest' | 'kindRevisions' | 'at' | 'by' | 'note'
>;

/** What became of routing that did not come by the API: a table put into `head` by hand, or the routing file. */
export interface HeadStatus {
  readonly source: 'inline' | 'file';
  readonly state: 'published' | 'unchanged' | 'refused';
  /** RFC 3339. */
  readonly at: string;
  /** The revision in force afterwards, 0 when there is none; absent where the writer cannot know it. */
  readonly revision?: number;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
}
