import type { ServiceKind } from '#domain/ids.ts';

/**
 * What the live replicas of the two services say of themselves: the input of the stamp discipline (design 3.7),
 * of "applied on all replicas" and of the status page. A replica not heard of for `replicaLeaseMs` does not count.
 */
export interface ReplicaBoard extends AsyncDisposable {
  /** Publishes this replica's facts now, and again every `replicaAnnounceEveryMs`. Cheap: called for each revision. */
  announce(facts: ReplicaFacts): void;
  /** The replicas of a role heard of within the lease, this one included once it announced itself. */
  live(role: ReplicaRole): readonly ReplicaState[];
  /** Called when a replica appears, leaves or says something new. @returns a function that ends it. */
  onChange(listener: () => void): () => void;
  /**
   * Puts a question to every live replica, this one included. Ends when all (of the role) have answered, at the latest
   * after `replicaAnswerWaitMaxMs`, with whatever came: who is missing did not answer, or does not know such questions.
   */
  ask(question: ReplicaQuestion): Promise<readonly ReplicaAnswer[]>;
  /**
   * Answers the questions of one topic from memory, at once; undefined = nothing to say, which is no answer.
   * @returns a function that ends it
   */
  answer(topic: string, answer: (body: unknown) => unknown): () => void;
}

/** Something that each replica knows for itself. Not for anything that has to be right at all times: answers get lost. */
export interface ReplicaQuestion {
  readonly topic: string;
  /** Whose answers are waited for; absent: everybody's. Questions reach all replicas. */
  readonly role?: ReplicaRole;
  /** JSON, as is the answer; the other side parses it. */
  readonly body: unknown;
}

export interface ReplicaAnswer {
  readonly role: ReplicaRole;
  readonly replica: string;
  readonly body: unknown;
}

export type ReplicaRole = 'authz' | 'xds';

export interface ReplicaFacts {
  readonly role: ReplicaRole;
  readonly replica: string;
  /** Newest routing revision this replica holds (authz: decides by; xds: has loaded). */
  readonly routingRevision: number;
  /** Newest identity store revision applied; authz only. */
  readonly iamRevision?: number;
  /** Oldest stamp that an Envoy of this xds replica still routes by; xds only, absent when it serves none. */
  readonly oldestStamp?: number;
  /** The Envoys this xds replica serves. */
  readonly envoys?: readonly EnvoyState[];
  /** Shards that this xds replica keeps back, the newest `quarantinedToldMaxCount`; xds only, absent when none. */
  readonly quarantined?: readonly QuarantinedShard[];
  /** This xds replica has an Envoy that can be asked about shards (`ShardValidator`); absent when it has none. */
  readonly validator?: boolean;
}

/**
 * An entry of the routing document that Envoys do not get as it stands, because it cannot be encoded or an Envoy rejected
 * it. The rest of its revision is in force. It ends when the entry is changed or removed.
 */
export interface QuarantinedShard {
  readonly kind: ServiceKind;
  readonly shard: string;
  /** The revision that brought this content of the entry. */
  readonly sinceRevision: number;
  /** Where the mistake is in the routing document (JSON Pointer, RFC 6901), as exactly as could be told. */
  readonly pointer: string;
  /** Why, in the words of the encoder or of the Envoy; cut to `quarantineErrorMaxChars`. */
  readonly error: string;
  /** When it was found, RFC 3339. */
  readonly at: string;
  /** What Envoys have instead: the last good value of the entry, or nothing, so that its tenants get 503. */
  readonly serving: 'last_good' | 'nothing';
  /** The Envoy that rejected it first; absent when it could not be encoded. */
  readonly node?: string;
}

export interface ReplicaState extends ReplicaFacts {
  readonly seenAtMs: number;
}

export interface EnvoyState {
  readonly node: string;
  /** Revision in the newest route configuration sent, and in the newest one acknowledged. */
  readonly stamp: number;
  readonly acked: number;
  readonly connectedAt: string;
  readonly rejected: readonly {
    readonly type: string;
    readonly names: readonly string[];
    readonly error: string;
    readonly at: string;
  }[];
}
