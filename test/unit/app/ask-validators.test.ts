import { describe, expect, test } from 'vitest';
import { askValidators } from '#app/ask-validators.ts';
import { LIMITS } from '#domain/limits.ts';
import type { ChangedShard } from '#domain/routing/validation/shard-validation.ts';
import type { ReplicaAnswer, ReplicaQuestion, ReplicaState } from '#ports/replica-board.ts';

const SHARD: ChangedShard = {
  kind: 'projection',
  name: 's1',
  shard: { endpoints: [{ address: '10.0.0.1', port: 80, weight: 1 }], protocol: 'http1' },
};
const REFUSED = { state: 'invalid', refused: [{ kind: 'projection', name: 's1', error: 'no' }] } as const;

/** What each replica says to each question in turn; the last one again and again, undefined: nothing. */
type Script = Readonly<Record<string, readonly unknown[]>>;

function boardOf(script: Script, without: readonly string[] = []) {
  const questions: ReplicaQuestion[] = [];
  const replicas = [...Object.keys(script), ...without];
  return {
    questions,
    board: {
      live: (role: string): readonly ReplicaState[] =>
        replicas.map((replica) => ({
          ...{ role: role as 'xds', replica, routingRevision: 1, seenAtMs: 0 },
          ...(without.includes(replica) ? {} : { validator: true }),
        })),
      ask: async (question: ReplicaQuestion): Promise<readonly ReplicaAnswer[]> => {
        questions.push(question);
        return Object.entries(script).flatMap(([replica, said]) => {
          const body = said[Math.min(questions.length, said.length) - 1];
          return body === undefined ? [] : [{ role: 'xds' as const, replica, body }];
        });
      },
    },
  };
}

const pending = { state: 'pending', job: 'j' };

describe('askValidators', () => {
  test('asks nobody where no xds replica has a validator', async () => {
    const { board, questions } = boardOf({}, ['x1']);
    expect(askValidators(board).isThere()).toBe(false);
    expect(await askValidators(board).validate([SHARD])).toBeUndefined();
    expect(questions).toEqual([]);
  });

  test('sends the shards once, and then asks for the verdict until it is there', async () => {
    const { board, questions } = boardOf({ x1: [pending, pending, { state: 'valid' }] }, ['x2']);
    expect(askValidators(board).isThere()).toBe(true);
    expect(await askValidators(board).validate([SHARD])).toEqual({ state: 'valid' });
    expect(questions.map(({ role, body }) => [role, Object.keys(body as object)])).toEqual([
      ['xds', ['shards']],
      ['xds', ['job']],
      ['xds', ['job']],
    ]);
  });

  test.each([
    ['one refuses, whatever others say', { x1: [{ state: 'valid' }], x2: [pending, REFUSED] }, REFUSED],
    [
      'one says valid, the other cannot tell',
      { x1: [{ state: 'unavailable', detail: 'late' }], x2: [pending, { state: 'valid' }] },
      { state: 'valid' },
    ],
    ['nobody can tell', { x1: [{ state: 'unavailable', detail: 'late' }] }, { state: 'unavailable', detail: 'late' }],
    ['what cannot be read is no answer', { x1: [{ state: 'maybe' }], x2: [{ state: 'valid' }] }, { state: 'valid' }],
    [
      'its validator has gone meanwhile',
      { x1: [{ state: 'none' }] },
      { state: 'unavailable', detail: expect.any(String) },
    ],
    ['silence', { x1: [undefined] }, { state: 'unavailable', detail: expect.any(String) }],
  ] as const)('%s', async (_, script, verdict) => {
    expect(await askValidators(boardOf(script).board).validate([SHARD])).toEqual(verdict);
  });

  test('waits no longer than the limit', async () => {
    const { board } = boardOf({ x1: [pending] });
    const beganAtMs = performance.now();
    expect(await askValidators(board).validate([SHARD])).toMatchObject({ state: 'unavailable' });
    const tookMs = performance.now() - beganAtMs;
    expect(tookMs).toBeGreaterThanOrEqual(LIMITS.envoyValidationWaitMaxMs - 100);
    expect(tookMs).toBeLessThan(LIMITS.envoyValidationWaitMaxMs + 500);
  });

  test('does not ask what does not fit into one question', async () => {
    const { board, questions } = boardOf({ x1: [{ state: 'valid' }] });
    const endpoints = Array.from({ length: 1_000 }, (_, port) => ({ address: '10.0.0.1', port: port + 1, weight: 1 }));
    const large = Array.from({ length: 20 }, () => ({ ...SHARD, shard: { ...SHARD.shard, endpoints } }));
    expect(await askValidators(board).validate(large)).toMatchObject({ state: 'unavailable' });
    expect(questions).toEqual([]);
  });
});
