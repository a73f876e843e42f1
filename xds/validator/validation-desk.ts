import { createHash } from 'node:crypto';
import { LIMITS } from '#domain/limits.ts';
import {
  type ChangedShard,
  parseShardEntry,
  parseValidationQuestion,
  type ShardVerdict,
  VALIDATE_QUESTION,
  type ValidationAnswer,
} from '#domain/routing/validation/shard-validation.ts';
import { turnWhenDue } from '#platform/event-loop.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { EnvoyValidator } from './envoy-validator.ts';

type Validator = Pick<EnvoyValidator, 'validate'>;

/**
 * Answers the other replicas' questions about shards. Without a validator it says so, or whoever asks would wait.
 * @returns a function that ends it
 */
export function answerValidations(board: Pick<ReplicaBoard, 'answer'>, validator: Validator | undefined): () => void {
  const desk = validator && new ValidationDesk(validator);
  return board.answer(VALIDATE_QUESTION, (body) => (desk === undefined ? { state: 'none' } : desk.answer(body)));
}

/** Begins validations and remembers how they ended: an answer is given at once, a validation takes its time. */
export class ValidationDesk {
  readonly #validator: Validator;
  /** By the hash of what was asked, the oldest first; undefined while it goes on. */
  readonly #verdicts = new Map<string, ShardVerdict | undefined>();

  constructor(validator: Validator) {
    this.#validator = validator;
  }

  /** Undefined when the question is none. */
  answer(body: unknown): ValidationAnswer | undefined {
    const question = parseValidationQuestion(body);
    if (question === undefined) return undefined;
    if ('shards' in question) return this.#begin(question.shards);
    const { job } = question;
    if (!this.#verdicts.has(job)) return unavailable('the replica knows nothing of this validation');
    return this.#verdicts.get(job) ?? { state: 'pending', job };
  }

  #begin(entries: readonly unknown[]): ValidationAnswer {
    const job = createHash('sha256').update(JSON.stringify(entries)).digest('hex');
    const known = this.#verdicts.get(job);
    if (known !== undefined && known.state !== 'unavailable') return known;
    const goesOn = this.#verdicts.has(job) && known === undefined;
    if (!goesOn) {
      if (!this.#makeRoom()) return unavailable('too many validations go on');
      this.#verdicts.set(job, undefined);
      void this.#validate(job, entries);
    }
    return { state: 'pending', job };
  }

  async #validate(job: string, entries: readonly unknown[]): Promise<void> {
    const shards = await readEntries(entries);
    const verdict = shards === undefined ? OTHER_VERSION : await this.#validator.validate(shards);
    this.#verdicts.set(job, verdict);
  }

  /** Forgets the oldest that has ended. False when all of them go on. */
  #makeRoom(): boolean {
    if (this.#verdicts.size < LIMITS.envoyValidationsKeptMaxCount) return true;
    for (const [job, verdict] of this.#verdicts) {
      if (verdict !== undefined) return this.#verdicts.delete(job);
    }
    return false;
  }
}

/** Undefined when one of them is not a shard to this version of the gateway. */
async function readEntries(entries: readonly unknown[]): Promise<readonly ChangedShard[] | undefined> {
  const shards: ChangedShard[] = [];
  for (const entry of entries.slice(0, LIMITS.envoyValidationShardsMaxCount + 1)) {
    await turnWhenDue();
    const shard = parseShardEntry(entry);
    if (shard === undefined) return undefined;
    shards.push(shard);
  }
  return shards;
}

const unavailable = (detail: string) => ({ state: 'unavailable', detail }) as const;
const OTHER_VERSION = unavailable('the replica is of a version that does not know such shards');
