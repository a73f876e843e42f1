import { LIMITS } from '#domain/limits.ts';
import {
  type ChangedShard,
  parseValidationAnswer,
  type ShardVerdict,
  shardEntry,
  VALIDATE_QUESTION,
  type ValidationAnswer,
  type ValidationQuestion,
} from '#domain/routing/validation/shard-validation.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { ShardValidator } from '#ports/shard-validator.ts';

type Board = Pick<ReplicaBoard, 'live' | 'ask'>;

/**
 * Asks the live xds replicas that have an Envoy for it. One that says `invalid` decides: an Envoy of its version would
 * refuse the shard. Else one that says `valid` is enough, the others could not tell.
 */
export const askValidators = (board: Board): ShardValidator => ({
  isThere: () => replicasWithValidator(board).length > 0,
  validate: (shards) => validate(board, shards),
});

const replicasWithValidator = (board: Board): readonly string[] =>
  board.live('xds').flatMap(({ replica, validator }) => (validator === true ? [replica] : []));

async function validate(board: Board, shards: readonly ChangedShard[]): Promise<ShardVerdict | undefined> {
  const waitedFor = new Set(replicasWithValidator(board));
  if (waitedFor.size === 0) return undefined;
  const entries = entriesOf(shards);
  if (entries === undefined) return unavailable('too many shards changed to ask about them at once');
  const endsAtMs = performance.now() + LIMITS.envoyValidationWaitMaxMs;
  const ended: ShardVerdict[] = [];
  let question: ValidationQuestion | undefined = { shards: entries };
  while (question !== undefined && performance.now() < endsAtMs) {
    const answers = await ask(board, question, waitedFor);
    question = undefined;
    for (const [replica, answer] of answers) {
      if (answer.state === 'invalid') return answer;
      if (answer.state === 'pending') question = { job: answer.job };
      else waitedFor.delete(replica);
      if (answer.state === 'valid' || answer.state === 'unavailable') ended.push(answer);
    }
    if (question !== undefined) await pause(LIMITS.envoyValidationPollEveryMs);
  }
  const found = ended.find(({ state }) => state === 'valid') ?? ended[0];
  return found ?? unavailable('no validator answered in time');
}

/** What those that are waited for say; one that says nothing now may the next time. */
async function ask(board: Board, body: ValidationQuestion, waitedFor: ReadonlySet<string>) {
  const answers = new Map<string, ValidationAnswer>();
  for (const { role, replica, body: said } of await board.ask({ topic: VALIDATE_QUESTION, role: 'xds', body })) {
    const answer = role === 'xds' && waitedFor.has(replica) ? parseValidationAnswer(said) : undefined;
    if (answer !== undefined) answers.set(replica, answer);
  }
  return answers;
}

/** The question's shards; undefined when they do not fit into one. */
function entriesOf(shards: readonly ChangedShard[]): readonly unknown[] | undefined {
  if (shards.length > LIMITS.envoyValidationShardsMaxCount) return undefined;
  const entries: unknown[] = [];
  let chars = 0;
  for (const shard of shards) {
    const entry = shardEntry(shard);
    // Shards are ASCII throughout (health paths and names of services are checked), so characters are bytes.
    chars += JSON.stringify(entry).length + 1;
    if (chars > LIMITS.envoyValidationMaxBytes) return undefined;
    entries.push(entry);
  }
  return entries;
}

const unavailable = (detail: string) => ({ state: 'unavailable', detail }) as const;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
