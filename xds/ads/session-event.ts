import type { ResourceType } from '../snapshot/resource-types.ts';

/** What an Envoy said that concerns more than its stream. */
export type SessionEvent =
  | { readonly kind: 'stamp_acked'; readonly stamp: number }
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
