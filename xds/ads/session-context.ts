import type { ResourceView } from '../snapshot/resource-table.ts';
import type { SessionEvent } from './session-event.ts';

/** What all streams share: the tables, and what the control plane knows of removed clusters. */
export interface SessionContext {
  readonly clusters: ResourceView;
  readonly endpoints: ResourceView;
  readonly listeners: ResourceView;
  readonly secrets: ResourceView;
  /** Name of the one route configuration. */
  readonly routeName: string;
  /** The newest routing revision loaded here. */
  readonly newestRevision: () => number;
  /** The first revision that does without a cluster: an Envoy must route by that one or a later one to lose it. */
  readonly retiredAt: (cluster: string) => number | undefined;
  /** Whether a shard is kept back: what was rejected of it stays on record though its last good value is accepted. */
  readonly isQuarantined: (cluster: string) => boolean;
  readonly nowMs: () => number;
}

/** The way to the client and back to the control plane. */
export interface SessionPort {
  /** @returns false when nothing more should be written before `drained` is called. */
  readonly send: (bytes: Buffer) => boolean;
  /** Ends the stream with UNAVAILABLE: the client tries another replica, or this one later. */
  readonly refuse: (reason: string) => void;
  /** The client acknowledged a stamp, rejected something or said who it is. */
  readonly onChange: (event: SessionEvent) => void;
}
