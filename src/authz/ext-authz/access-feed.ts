import { AccessIndex } from '#domain/access/access-index.ts';
import { DECISION_FILTERS } from '#domain/identity/records.ts';
import type { Log } from '#platform/log.ts';
import type { Clock } from '#ports/clock.ts';
import type { KeyValueStore, Watch } from '#ports/key-value-store.ts';

/** How often revocations are looked through for those whose tokens have all expired. */
const FORGET_EVERY_MS = 60_000;

/** The access index of this replica, kept by a watch of bucket IAM. */
export interface AccessFeed extends AsyncDisposable {
  readonly index: AccessIndex;
  /** Everything up to this store revision is in force in the index; 0 while it is loaded. */
  appliedRevision(): number;
  /**
   * Milliseconds since the index in force was known to miss nothing. While everything is loaded anew that is the time
   * since the load began, whatever the watch itself has heard since.
   */
  stalenessMs(): number;
}

/**
 * Begins to keep an access index.
 * @param onApplied is told after each batch of changes: what waits for a revision looks again
 */
export function openAccessFeed(options: {
  readonly store: Pick<KeyValueStore, 'watch'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly onApplied?: (revision: number) => void;
}): AccessFeed {
  const { clock, log } = options;
  const index = new AccessIndex((problem) => log.warn({ problem }, 'a stored record is not usable'));
  let watch: Watch | undefined;
  let appliedRevision = 0;
  let trustedAtMs = Number.NEGATIVE_INFINITY;
  const watchStalenessMs = () => watch?.stalenessMs() ?? Number.POSITIVE_INFINITY;
  const applied = (revision: number) => {
    appliedRevision = revision;
    options.onApplied?.(revision);
  };
  watch = options.store.watch({
    filters: DECISION_FILTERS,
    onReset: () => {
      // A second reset while loading: the tables in force date from before the first.
      if (!index.isLoading()) trustedAtMs = clock.nowMs() - watchStalenessMs();
      appliedRevision = 0;
      index.beginLoad();
    },
    onChanges: (changes) => {
      index.apply(changes);
      const last = changes.at(-1);
      if (!index.isLoading() && last !== undefined) applied(last.revision);
    },
    onSynced: (revision) => {
      index.endLoad();
      applied(revision);
    },
  });
  const forgetting = setInterval(() => index.forgetExpired(Math.floor(clock.nowMs() / 1000)), FORGET_EVERY_MS);
  forgetting.unref();
  return {
    index,
    appliedRevision: () => appliedRevision,
    stalenessMs: () => (index.isLoading() ? clock.nowMs() - trustedAtMs : watchStalenessMs()),
    [Symbol.asyncDispose]: async () => {
      clearInterval(forgetting);
      await watch?.[Symbol.asyncDispose]();
    },
  };
}
