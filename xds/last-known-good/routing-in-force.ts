import { SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';
import { shareDirectory } from '#domain/routing/revision.ts';
import type { ShardDirectory } from '#domain/routing/types.ts';
import type { Log } from '#platform/log.ts';
import type { ControlPlane } from '../control-plane.ts';
import type { KnownGood } from './known-good.ts';
import type { KnownGoodKeeper } from './known-good-keeper.ts';
import type { FoundState } from './state-folder.ts';

/** Where the routing that is served came from; `none` as long as no revision was ever published or found. */
export type RoutingOrigin = 'none' | 'disk' | 'storage';

export interface RoutingInForceOptions {
  readonly controlPlane: Pick<ControlPlane, 'applyRevision'>;
  /** Told of every revision that is offered to Envoys; undefined when nothing is kept. */
  readonly keeper: Pick<KnownGoodKeeper, 'found' | 'offered'> | undefined;
  readonly log: Log;
}

interface Served {
  readonly revision: number;
  readonly manifest: string;
}

/**
 * Decides which routing the control plane serves: first what the disk kept, then what the storage says. The storage wins
 * when it is newer. When it is older (a backup was restored) or another revision of the same number, what is served
 * stays, because Envoys have it and are never led back; that is a problem to be seen, until a newer revision ends it.
 */
export class RoutingInForce {
  readonly #options: RoutingInForceOptions;
  /** The directory the storage gave last, and the one served in its place. */
  readonly #shared = new Map<ServiceKind, { readonly given: ShardDirectory; readonly served: ShardDirectory }>();
  #served: Served | undefined;
  #origin: RoutingOrigin = 'none';
  #refused: string | undefined;
  #problem: { readonly revision: number; readonly reason: string } | undefined;

  constructor(options: RoutingInForceOptions) {
    this.#options = options;
  }

  get origin(): RoutingOrigin {
    return this.#origin;
  }

  /** Why what lay on the disk at the start is not served. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** Why the revision the storage has is not the one that is served. */
  get problem(): { readonly revision: number; readonly reason: string } | undefined {
    return this.#problem;
  }

  /**
   * The start, before anybody is served. Every live authz replica held the kept revision, for otherwise no Envoy would
   * have been given it, so its stamp waits for nobody's word.
   */
  begin(found: FoundState): void {
    const { controlPlane, keeper, log } = this.#options;
    if (found.kind === 'none') return;
    if (found.kind === 'refused') {
      this.#refuse(found.reason);
      return;
    }
    const { content } = found;
    try {
      controlPlane.applyRevision(this.#share(content));
    } catch (error) {
      this.#refuse(`revision ${content.revision} cannot be encoded: ${String(error)}`);
      return;
    }
    this.#served = content;
    this.#origin = 'disk';
    keeper?.found(content.revision);
    log.info({ revision: content.revision, at: content.at }, 'serving the last known good routing from the disk');
  }

  /** A revision of the storage. @throws when it cannot be encoded; what is served stays then */
  offer(snapshot: KnownGood): void {
    const stays = this.#served;
    if (stays !== undefined && !mayFollow(stays, snapshot)) {
      const reason =
        snapshot.revision === stays.revision
          ? `the storage has another revision ${stays.revision} than the one that is served, which stays`
          : `the storage has revision ${snapshot.revision}, older than revision ${stays.revision}, which stays`;
      this.#problem = { revision: snapshot.revision, reason };
      this.#options.log.error({ revision: snapshot.revision, stays: stays.revision }, reason);
      return;
    }
    const shared = this.#share(snapshot);
    this.#options.controlPlane.applyRevision(shared);
    this.#options.keeper?.offered(shared);
    if (this.#origin === 'disk') {
      this.#options.log.info({ revision: snapshot.revision, served: stays?.revision }, 'the storage is back');
    }
    this.#served = { revision: snapshot.revision, manifest: snapshot.manifest };
    this.#origin = 'storage';
    this.#problem = undefined;
  }

  #refuse(reason: string): void {
    this.#refused = reason;
    this.#options.log.error({ reason }, 'the last known good routing is refused');
  }

  /**
   * The revision with the shard objects served already wherever they are equal: the control plane compares by identity,
   * and should not encode everything anew because the storage is back. Directories that did not change cost nothing.
   */
  #share(snapshot: KnownGood): KnownGood {
    for (const kind of SERVICE_KINDS) {
      const given = snapshot.shards[kind];
      const before = this.#shared.get(kind);
      if (before?.given === given) continue;
      this.#shared.set(kind, { given, served: shareDirectory(before?.served, given) });
    }
    const served = (kind: ServiceKind) => this.#shared.get(kind)?.served ?? snapshot.shards[kind];
    const shards = { aggregate: served('aggregate'), projection: served('projection'), runner: served('runner') };
    return { ...snapshot, shards };
  }
}

/** Whether a revision may take the place of the one that is served. */
const mayFollow = (served: Served, next: Served): boolean =>
  next.revision > served.revision || (next.revision === served.revision && next.manifest === served.manifest);
