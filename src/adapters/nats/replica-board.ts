import type { Subscription } from '@nats-io/transport-node';
import { LIMITS } from '#domain/limits.ts';
import type { Log } from '#platform/log.ts';
import type {
  ReplicaAnswer,
  ReplicaBoard,
  ReplicaFacts,
  ReplicaQuestion,
  ReplicaRole,
  ReplicaState,
} from '#ports/replica-board.ts';
import type { NatsLink } from './connection.ts';
import { ReplicaQuestions } from './replica-questions.ts';

const SUBJECT = 'gateway.replica';
const POLL_SUBJECT = 'gateway.replicas.poll';
/** Replicas remembered at most; more than this many live ones is not a deployment of ours. */
const REPLICAS_MAX_COUNT = 1_000;

/**
 * Presence over core NATS: each replica says its facts when they change and every second, and anybody who starts asks
 * all for them once. Nothing is stored, so a confirmation of a revision costs one message and no disk write; when NATS
 * is away nobody can publish a revision either, and the board is simply empty until it is there (again).
 */
export class NatsReplicaBoard implements ReplicaBoard {
  readonly #link: NatsLink;
  readonly #log: Log;
  readonly #states = new Map<string, ReplicaState>();
  readonly #listeners = new Set<() => void>();
  readonly #timer: NodeJS.Timeout;
  readonly #questions: ReplicaQuestions;
  readonly #stopConnected: () => void;
  #subscriptions: readonly Subscription[] = [];
  #own: ReplicaFacts | undefined;

  constructor(link: NatsLink, log: Log) {
    this.#link = link;
    this.#log = log;
    this.#questions = new ReplicaQuestions({
      link,
      log,
      own: () => this.#own,
      live: () => [...this.live('authz'), ...this.live('xds')],
    });
    this.#stopConnected = link.onConnected(() => this.#onConnected());
    this.#timer = setInterval(() => this.#tick(), LIMITS.replicaAnnounceEveryMs);
  }

  announce(facts: ReplicaFacts): void {
    this.#own = facts;
    this.#publish();
    this.#remember(facts);
  }

  live(role: ReplicaRole): readonly ReplicaState[] {
    const oldestMs = Date.now() - LIMITS.replicaLeaseMs;
    return [...this.#states.values()].filter((state) => state.role === role && state.seenAtMs >= oldestMs);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  ask(question: ReplicaQuestion): Promise<readonly ReplicaAnswer[]> {
    return this.#questions.ask(question);
  }

  answer(topic: string, answer: (body: unknown) => unknown): () => void {
    return this.#questions.answer(topic, answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#questions[Symbol.dispose]();
    this.#stopConnected();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    if (this.#own !== undefined) this.#send(subjectOf(this.#own), JSON.stringify({ ...this.#own, leaving: true }));
    // The connection may break in this very moment; the lease says then what the farewell could not.
    if (this.#link.isConnected()) await this.#link.nc.flush().catch(() => {});
  }

  /** Asks and tells at once: after a break nobody should wait for the next announcement that is due anyway. */
  #onConnected(): void {
    if (this.#subscriptions.length === 0) this.#subscriptions = this.#subscribe();
    this.#publish();
    this.#send(POLL_SUBJECT, new Uint8Array(0));
  }

  /** Once: the client library subscribes again by itself after each break. */
  #subscribe(): readonly Subscription[] {
    return [
      this.#link.nc.subscribe(`${SUBJECT}.*.*`, {
        callback: (error, message) => {
          if (error === null) this.#receive(message.data);
        },
      }),
      this.#link.nc.subscribe(POLL_SUBJECT, {
        callback: (error) => {
          if (error === null) this.#publish();
        },
      }),
    ];
  }

  #tick(): void {
    this.#publish();
    const oldestMs = Date.now() - LIMITS.replicaLeaseMs;
    let left = false;
    for (const [key, state] of this.#states) {
      if (state.seenAtMs >= oldestMs || state.replica === this.#own?.replica) continue;
      this.#states.delete(key);
      left = true;
    }
    if (this.#own !== undefined) this.#remember(this.#own);
    if (left) this.#notify();
  }

  #publish(): void {
    if (this.#own !== undefined) this.#send(subjectOf(this.#own), JSON.stringify(this.#own));
  }

  /** Presence is worth nothing late: while disconnected it is dropped, not queued. */
  #send(subject: string, body: string | Uint8Array): void {
    if (this.#link.isConnected()) this.#link.nc.publish(subject, body);
  }

  #receive(data: Uint8Array): void {
    const facts = parseFacts(data);
    if (facts === undefined) {
      this.#log.warn('unreadable replica announcement ignored');
      return;
    }
    if (facts.replica === this.#own?.replica && facts.role === this.#own.role) return;
    if (facts.leaving) {
      if (this.#states.delete(`${facts.role}.${facts.replica}`)) this.#notify();
      return;
    }
    this.#remember(facts);
  }

  #remember(facts: ReplicaFacts): void {
    const key = `${facts.role}.${facts.replica}`;
    const before = this.#states.get(key);
    if (before === undefined && this.#states.size >= REPLICAS_MAX_COUNT) return;
    this.#states.set(key, { ...facts, seenAtMs: Date.now() });
    if (before === undefined || changed(before, facts)) this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        this.#log.error({ err: error }, 'replica board listener failed');
      }
    }
  }
}

const subjectOf = (facts: ReplicaFacts): string => `${SUBJECT}.${facts.role}.${facts.replica}`;

const changed = (before: ReplicaFacts, after: ReplicaFacts): boolean =>
  before.routingRevision !== after.routingRevision ||
  before.iamRevision !== after.iamRevision ||
  before.oldestStamp !== after.oldestStamp ||
  before.validator !== after.validator ||
  JSON.stringify(before.envoys) !== JSON.stringify(after.envoys) ||
  JSON.stringify(before.quarantined) !== JSON.stringify(after.quarantined);

/** Announcements come from our own programs over an authenticated connection; a damaged one is dropped. */
function parseFacts(data: Uint8Array): (ReplicaFacts & { readonly leaving?: boolean }) | undefined {
  try {
    const facts = JSON.parse(new TextDecoder().decode(data)) as ReplicaFacts & { readonly leaving?: boolean };
    const known = facts.role === 'authz' || facts.role === 'xds';
    return known && typeof facts.replica === 'string' && Number.isInteger(facts.routingRevision) ? facts : undefined;
  } catch {
    return undefined;
  }
}
