import type { RoutingSnapshot } from '#domain/routing/types.ts';
import type { ControlPlane } from './control-plane.ts';

/** How often to look whether the store has told everything. Only until there is a first revision of either kind. */
const LOOK_EVERY_MS = 50;

const NOTHING: Pick<RoutingSnapshot, 'revision' | 'shards'> = {
  revision: 0,
  shards: { aggregate: new Map(), projection: new Map(), runner: new Map() },
};

/**
 * A gateway that was never given a routing serves revision 0: no shards, but its API, by which the first routing is
 * pushed. Only when the store has said everything and there is nothing: a head that cannot be read is not nothing.
 */
export function beginEmpty(options: {
  readonly source: {
    current(): RoutingSnapshot | undefined;
    isComplete(): boolean;
    problem(): unknown;
  };
  readonly controlPlane: Pick<ControlPlane, 'isReady' | 'applyRevision'>;
}): Disposable {
  const { source, controlPlane } = options;
  const look = (): void => {
    if (!controlPlane.isReady) {
      if (source.current() !== undefined || source.problem() !== undefined || !source.isComplete()) return;
      controlPlane.applyRevision(NOTHING);
    }
    clearInterval(timer);
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
