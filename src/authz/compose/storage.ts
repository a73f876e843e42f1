import { ensureBucketEventually } from '#adapters/nats/bucket.ts';
import { connectNats } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { NatsReplicaBoard } from '#adapters/nats/replica-board.ts';
import { HeadStatusWatch } from '#adapters/routing/head-status.ts';
import { RevisionSource } from '#adapters/routing/revision-source.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { identityOf } from '#domain/internal-identity.ts';
import type { InternalTls } from '#platform/internal-tls/internal-tls.ts';
import type { Log } from '#platform/log.ts';
import type { KeyValueStore } from '#ports/key-value-store.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { HeadStatus, RoutingStore } from '#ports/routing.ts';
import type { AuthzConfig } from '../config.ts';

/** What the service keeps in NATS, and what it hears from there. */
export interface Storage {
  readonly iam: KeyValueStore;
  readonly board: ReplicaBoard;
  readonly source: RevisionSource;
  readonly routingStore: RoutingStore;
  readonly headStatus: () => HeadStatus | undefined;
  readonly isConnected: () => boolean;
}

/** Connects and makes sure that both buckets are there, for as long as that takes or until `shutdown`. */
export async function openStorage(options: {
  readonly config: AuthzConfig;
  readonly tls: InternalTls | undefined;
  readonly log: Log;
  readonly stack: AsyncDisposableStack;
  readonly shutdown: AbortSignal;
}): Promise<Storage> {
  const { config, log, stack } = options;
  const tls = options.tls === undefined ? undefined : { own: options.tls, server: identityOf('nats') };
  const link = stack.use(await connectNats({ url: config.natsUrl, name: config.replica, tls, log }));
  for (const bucket of ['IAM', 'ROUTING']) {
    await ensureBucketEventually(link, { bucket, replicas: config.natsReplicas, log, shutdown: options.shutdown });
  }
  const routing = new NatsKeyValueStore(link, 'ROUTING', log);
  const board = stack.use(new NatsReplicaBoard(link, log));
  const source = stack.use(new RevisionSource({ store: routing, log }));
  const headStatus = stack.use(new HeadStatusWatch(routing));
  return {
    iam: new NatsKeyValueStore(link, 'IAM', log),
    board,
    source,
    routingStore: new RevisionStore({ store: routing, log, known: () => source.current() }),
    headStatus: () => headStatus.current(),
    isConnected: () => link.isConnected(),
  };
}
