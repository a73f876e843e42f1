import { setTimeout as sleep } from 'node:timers/promises';
import { ensureBucketEventually } from '#adapters/nats/bucket.ts';
import type { NatsLink } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { HeadAdopter } from '#adapters/routing/head-adopter.ts';
import { RevisionSource } from '#adapters/routing/revision-source.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { RoutingFile } from '#adapters/routing/routing-file.ts';
import { publishDocument } from '#app/publish-revision.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import type { Log } from '#platform/log.ts';
import type { Clock } from '#ports/clock.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';

const BUCKET = 'ROUTING';
/** After a failure that waiting alone does not mend: an operator has to change something in NATS. */
const RETRY_MS = 5_000;

export interface StorageOptions {
  readonly link: NatsLink;
  readonly replicas: number;
  readonly routingFile: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** A source that begins to load; what the listener throws is logged by the source. */
  readonly onSource: (source: RevisionSource) => Disposable;
  readonly onRevision: (snapshot: RoutingSnapshot) => void;
  /** The bucket, for something else that is to be kept there; disposed with everything here. */
  readonly onStore: (store: KeyValueStore) => AsyncDisposable;
}

/** The routing in NATS, as soon as it can be read and as long as this is not disposed. */
export interface FollowedStorage extends AsyncDisposable {
  /** Why there is nothing to follow yet, or why the newest head is not in force. */
  problem(): { readonly revision: number; readonly reason: string } | undefined;
}

/**
 * Follows the routing in NATS without being waited for: the server serves what it has while NATS is away, and catches up
 * when it is there. A bucket that must not be used (weaker settings than required) is not used and looked at again.
 */
export function followStorage(options: StorageOptions): FollowedStorage {
  const { log } = options;
  const stack = new AsyncDisposableStack();
  const ending = new AbortController();
  let source: RevisionSource | undefined;
  let failure: string | undefined;

  async function run(): Promise<void> {
    while (!ending.signal.aborted) {
      try {
        await connected(options.link, ending.signal);
        await ensureBucketEventually(options.link, { bucket: BUCKET, ...options, shutdown: ending.signal });
        const opened = await open(options);
        stack.use(opened.parts);
        source = opened.source;
        failure = undefined;
        return;
      } catch (error) {
        if (ending.signal.aborted) return;
        failure = error instanceof Error ? error.message : String(error);
        log.error({ err: error }, 'the routing in NATS cannot be followed');
        await sleep(RETRY_MS, undefined, { signal: ending.signal }).catch(() => {});
      }
    }
  }
  const running = run();

  return {
    problem: () => (failure === undefined ? source?.problem() : { revision: 0, reason: failure }),
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      await running;
      await stack.disposeAsync();
    },
  };
}

/** Resolves when the link is connected. @throws AbortError */
async function connected(link: NatsLink, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = link.onConnected(resolve);
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  await promise.finally(() => {
    stop();
    signal.removeEventListener('abort', abort);
  });
}

/** All of it, or nothing of it is left. */
async function open(options: StorageOptions) {
  await using stack = new AsyncDisposableStack();
  const { link, clock, log, routingFile } = options;
  const store = new NatsKeyValueStore(link, BUCKET, log);
  stack.use(options.onStore(store));
  let source: RevisionSource | undefined;
  const revisions = new RevisionStore({ store, log, known: () => source?.current() });
  const adopter = stack.use(new HeadAdopter({ store, revisions, clock, log }));
  source = stack.use(new RevisionSource({ store, log, onForeignHead: adopter.request }));
  stack.defer(source.onRevision(options.onRevision));
  stack.use(options.onSource(source));
  if (routingFile !== undefined) {
    const publish = (request: Parameters<typeof publishDocument>[1]) =>
      publishDocument({ store: revisions, clock }, request);
    stack.use(new RoutingFile({ path: routingFile, publish, store, clock, log }));
  }
  return { source, parts: stack.move() };
}
