import type { Resource } from '../snapshot/resource.ts';

/** What a request said about an earlier response. */
export type Reception =
  | { readonly kind: 'none' }
  | { readonly kind: 'ack'; readonly names: readonly string[] }
  /** `culprit`: the one name the rejection is about, once it is known; until then the names are tried apart. */
  | {
      readonly kind: 'nack';
      readonly names: readonly string[];
      readonly culprit: string | undefined;
      /** Of the culprit. */
      readonly version?: string;
      readonly error: string;
    };

/** The content of the next response of a type. */
export interface Delta {
  readonly nonce: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
}

/** What the client has: a version, and the resource itself unless it was got on an earlier stream. */
export interface Held {
  readonly version: string;
  readonly resource?: Resource;
  /** When the client said so on this stream. */
  readonly atMs?: number;
}

/** One response that awaits its answer. */
export interface Inflight {
  /** By name; undefined for a name that the response said is gone. */
  readonly carried: ReadonlyMap<string, Resource | undefined>;
  /** Names the client began anew with since: what it holds of them is not told by its answer to this response. */
  readonly disregarded: Set<string>;
}

/** Where one name stands with this client, for whoever wants to look at it. */
export interface NameStatus {
  readonly name: string;
  /** What there is for the client now; undefined when there is nothing (any more). */
  readonly newest: Resource | undefined;
  readonly held: Held | undefined;
  /** Whether exactly `newest`, or that there is nothing, was sent. */
  readonly isSent: boolean;
  /** What the client said against `newest`. */
  readonly rejection: Rejection | undefined;
}

/** What a client said against one version, and when. */
export interface Rejection {
  readonly error: string;
  readonly atMs: number;
}
