import type { ChangedShard, ShardVerdict } from '#domain/routing/validation/shard-validation.ts';

/** Asks an Envoy whether it would take shards, before they are published. */
export interface ShardValidator {
  /** Whether anybody could be asked now. */
  isThere(): boolean;
  /**
   * Within `envoyValidationWaitMaxMs`. Never rejects: a verdict that cannot be had is `unavailable`; undefined when
   * there is nobody to ask.
   */
  validate(shards: readonly ChangedShard[]): Promise<ShardVerdict | undefined>;
}
