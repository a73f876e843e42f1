import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node';
import { LIMITS } from '#domain/limits.ts';
import type { Log } from '#platform/log.ts';
import type { ReplicaAnswer, ReplicaFacts, ReplicaQuestion } from '#ports/replica-board.ts';
import type { NatsLink } from './connection.ts';

const SUBJECT = 'gateway.replicas.ask';
/** More answers than this are no deployment of ours. */
const ANSWERS_MAX_COUNT = 1_000;

type Identity = Pick<ReplicaFacts, 'role' | 'replica'>;

const nameOf = ({ role, replica }: Identity): string => `${role}.${replica}`;

/**
 * Questions to all replicas over core NATS: one message to everybody, an answer each to an inbox of the asker. Nothing
 * is repeated and nothing is queued; who does not answer in time is missing.
 */
export class ReplicaQuestions implements Disposable {
  readonly #link: NatsLink;
  readonly #log: Log;
  readonly #own: () => Identity | undefined;
  readonly #live: () => readonly Identity[];
  readonly #answers = new Map<string, (body: unknown) => unknown>();
  readonly #stopConnected: () => void;
  #subscription: Subscription | undefined;

  constructor(options: {
    readonly link: NatsLink;
    readonly log: Log;
    /** Who answers here; undefined while this process is no replica. */
    readonly own: () => Identity | undefined;
    /** Whose answers are waited for. */
    readonly live: () => readonly Identity[];
  }) {
    this.#link = options.link;
    this.#log = options.log;
    this.#own = options.own;
    this.#live = options.live;
    this.#stopConnected = options.link.onConnected(() => {
      // Once: the client library subscribes again by itself after each break.
      this.#subscription ??= this.#subscribe();
    });
  }

  answer(topic: string, answer: (body: unknown) => unknown): () => void {
    this.#answers.set(topic, answer);
    return () => {
      if (this.#answers.get(topic) === answer) this.#answers.delete(topic);
    };
  }

  ask(question: ReplicaQuestion): Promise<readonly ReplicaAnswer[]> {
    const answers = new Map<string, ReplicaAnswer>();
    // Without NATS nobody else can be heard; what this process knows itself is still worth telling.
    const mine = this.#answerTo(question);
    if (mine !== undefined) answers.set(nameOf(mine), mine);
    if (!this.#link.isConnected()) return Promise.resolve([...answers.values()]);
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        inbox.unsubscribe();
        resolve([...answers.values()]);
      };
      const { role } = question;
      const isComplete = () =>
        this.#live().every((replica) => (role ?? replica.role) !== replica.role || answers.has(nameOf(replica)));
      const inbox = this.#link.nc.subscribe(createInbox(), {
        callback: (error, message) => {
          const received = error === null ? parseAnswer(message.data) : undefined;
          // An error is NATS saying that nobody listens: not even we, which is a connection just made.
          if (received === undefined || answers.size >= ANSWERS_MAX_COUNT) return;
          answers.set(nameOf(received), received);
          if (isComplete()) finish();
        },
      });
      const timer = setTimeout(finish, LIMITS.replicaAnswerWaitMaxMs);
      if (isComplete()) finish();
      else this.#link.nc.publish(SUBJECT, JSON.stringify(question), { reply: inbox.getSubject() });
    });
  }

  [Symbol.dispose](): void {
    this.#stopConnected();
    this.#subscription?.unsubscribe();
    this.#answers.clear();
  }

  #subscribe(): Subscription {
    return this.#link.nc.subscribe(SUBJECT, {
      callback: (error, message) => {
        if (error === null) this.#receive(message);
      },
    });
  }

  #receive(message: Msg): void {
    const question = parseQuestion(message.data);
    const answer = question === undefined ? undefined : this.#answerTo(question);
    if (answer === undefined) return;
    const bytes = Buffer.from(JSON.stringify(answer));
    if (bytes.length <= LIMITS.replicaAnswerMaxBytes) message.respond(bytes);
    else this.#log.warn({ topic: question?.topic, bytes: bytes.length }, 'an answer is too large and was not given');
  }

  #answerTo({ topic, body }: ReplicaQuestion): ReplicaAnswer | undefined {
    const own = this.#own();
    const answer = this.#answers.get(topic);
    if (own === undefined || answer === undefined) return undefined;
    try {
      const said = answer(body);
      return said === undefined ? undefined : { role: own.role, replica: own.replica, body: said };
    } catch (error) {
      this.#log.error({ err: error, topic }, 'a question of a replica could not be answered');
      return undefined;
    }
  }
}

/** Messages come from our own programs over an authenticated connection; a damaged one is dropped. */
function parseQuestion(data: Uint8Array): ReplicaQuestion | undefined {
  try {
    const question = JSON.parse(new TextDecoder().decode(data)) as ReplicaQuestion;
    return typeof question.topic === 'string' ? question : undefined;
  } catch {
    return undefined;
  }
}

function parseAnswer(data: Uint8Array): ReplicaAnswer | undefined {
  try {
    const answer = JSON.parse(new TextDecoder().decode(data)) as ReplicaAnswer;
    const known = answer.role === 'authz' || answer.role === 'xds';
    return known && typeof answer.replica === 'string' ? answer : undefined;
  } catch {
    return undefined;
  }
}
