import { createHash } from 'node:crypto';
import type { ServiceKind } from '#domain/ids.ts';
import type { ChangedShard } from '#domain/routing/validation/shard-validation.ts';
import type { ControlPlaneOptions } from '../control-plane.ts';
import type { MessageEncoder } from '../encode.ts';
import { validationBootstrap } from './bootstrap.ts';
import { errorText } from './judge-run.ts';

/** One shard on its way to Envoy. */
export interface Candidate {
  readonly kind: ServiceKind;
  readonly name: string;
  /** SHA-256 of what Envoys would get of it: equal ones have equal verdicts. */
  readonly key: string;
  /** Its clusters in a bootstrap, JSON. */
  readonly clusters: string;
}

export type Translators = Pick<ControlPlaneOptions, 'translateCluster' | 'translateEndpoints'> & {
  readonly encode: MessageEncoder;
};

/**
 * Translates a shard as it is for the Envoys at the edge. The cluster is validated as it would be sent; endpoints that
 * travel apart (EDS) are never looked at by an Envoy that only validates, so they get a static cluster of their own.
 * @returns a text when the shard cannot even be encoded, which is an answer that needs no Envoy
 */
export function candidateOf({ kind, name, shard }: ChangedShard, translators: Translators): Candidate | string {
  const { translateCluster, translateEndpoints, encode } = translators;
  try {
    const cluster = translateCluster(kind, name, shard);
    const endpoints = translateEndpoints(kind, name, shard);
    const hash = createHash('sha256').update(encode('cluster', cluster));
    if (endpoints !== undefined) hash.update(encode('endpoint', endpoints));
    const clusters = [
      cluster.json,
      // No shard has a blank in its name.
      ...(endpoints === undefined
        ? []
        : [{ name: `${cluster.name} endpoints`, type: 'STATIC', load_assignment: endpoints.json }]),
    ];
    const text = clusters.map((each) => JSON.stringify(each)).join(',');
    return { kind, name, key: hash.digest('hex'), clusters: text };
  } catch (error) {
    return errorText(error instanceof Error ? error.message : String(error));
  }
}

/** The bootstrap that is valid when all these are. */
export const bootstrapOf = (candidates: readonly Candidate[]): string =>
  validationBootstrap(candidates.map(({ clusters }) => clusters));
