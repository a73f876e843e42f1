import type { ResourceType } from '../snapshot/resource-types.ts';

/** What an Envoy said, and one thing it was told, that concerns more than its stream. */
export type SessionEvent =
  | { readonly kind: 'stamp_acked'; readonly stamp: number }
  /** It was told a stamp, or told one again: nothing that it said, but the other half of what it acknowledges. */
  | { readonly kind: 'stamp_sent'; readonly stamp: number }
  | {
      readonly kind: 'rejected';
      readonly type: ResourceType;
      readonly names: readonly string[];
      readonly error: string;
      /** The one resource that it was, once it is known. */
      readonly culprit?: { readonly name: string; readonly version: string };
    }
  | { readonly kind: 'unknown_type'; readonly typeUrl: string }
  | { readonly kind: 'known' };
