import { describe, expect, test } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import {
  type ChangedShard,
  parseValidationAnswer,
  type ShardVerdict,
  shardEntry,
} from '#domain/routing/validation/shard-validation.ts';
import { answerValidations, ValidationDesk } from '../../../../xds/validator/validation-desk.ts';
import { until } from '../../../support/wait.ts';

const SHARD: ChangedShard = {
  kind: 'runner',
  name: 's1',
  shard: { endpoints: [{ address: '10.0.0.1', port: 80, weight: 1 }], protocol: 'h2' },
};
const question = (name: string) => ({ shards: [shardEntry({ ...SHARD, name })] });

/** A desk whose validations end when the test says so, and what it was asked to validate. */
function deskOf() {
  const asked: (readonly ChangedShard[])[] = [];
  const open: ((verdict: ShardVerdict) => void)[] = [];
  const desk = new ValidationDesk({
    validate: (shards) => {
      asked.push(shards);
      return new Promise((resolve) => open.push(resolve));
    },
  });
  /** Ends the oldest that goes on. */
  const end = async (verdict: ShardVerdict) => {
    await until(() => open.length > 0, { deadlineMs: 2_000, what: 'a validation' });
    open.shift()?.(verdict);
  };
  /** Asks until it is known, as authz does. */
  const settled = (job: string) =>
    until(
      () => {
        const answer = desk.answer({ job });
        return answer?.state !== 'pending' && answer;
      },
      { deadlineMs: 2_000, what: 'the verdict' },
    );
  return { desk, asked, end, settled };
}

/** Begins a validation. @returns what the desk calls it */
function begun(desk: ValidationDesk, name: string): string {
  const answer = desk.answer(question(name));
  if (answer?.state !== 'pending') throw new Error(JSON.stringify(answer));
  return answer.job;
}

describe('ValidationDesk', () => {
  test('says that it has begun, and the verdict when it is known; the same question begins nothing anew', async () => {
    const { desk, asked, end, settled } = deskOf();
    const job = begun(desk, 's1');
    expect(begun(desk, 's1')).toBe(job);
    expect(desk.answer({ job })).toEqual({ state: 'pending', job });
    const verdict = { state: 'invalid', refused: [{ kind: 'runner', name: 's1', error: 'no' }] } as const;
    await end(verdict);
    expect(await settled(job)).toEqual(verdict);
    expect(desk.answer(question('s1'))).toEqual(verdict);
    expect(asked).toEqual([[SHARD]]);
    expect(parseValidationAnswer(JSON.parse(JSON.stringify(verdict)))).toEqual(verdict);
  });

  test('tries again what could not be had the last time', async () => {
    const { desk, asked, end, settled } = deskOf();
    const job = begun(desk, 's1');
    await end({ state: 'unavailable', detail: 'late' });
    expect(await settled(job)).toEqual({ state: 'unavailable', detail: 'late' });
    expect(begun(desk, 's1')).toBe(job);
    await until(() => asked.length === 2, { deadlineMs: 2_000, what: 'the second try' });
  });

  test('knows nothing of a validation it did not begin, nor of shards of another version', async () => {
    const { desk, asked, settled } = deskOf();
    expect(desk.answer({ job: 'other' })).toMatchObject({ state: 'unavailable' });
    expect(desk.answer({ anything: 1 })).toBeUndefined();
    const answer = desk.answer({ shards: [{ kind: 'runner', name: 's1', shard: { endpoints: [], colour: 1 } }] });
    expect(await settled(answer?.state === 'pending' ? answer.job : '')).toMatchObject({ state: 'unavailable' });
    expect(asked).toEqual([]);
  });

  test('remembers so many, and begins no more than that at once', async () => {
    const { desk, end, settled } = deskOf();
    const first = begun(desk, 's0');
    await until(() => desk.answer({ job: first }), { deadlineMs: 2_000, what: 'the first' });
    for (let index = 1; index < LIMITS.envoyValidationsKeptMaxCount; index += 1) begun(desk, `s${index}`);
    expect(desk.answer(question('more'))).toMatchObject({ state: 'unavailable' });
    await end({ state: 'valid' });
    await settled(first);
    begun(desk, 'more');
    expect(desk.answer({ job: first })).toMatchObject({
      state: 'unavailable',
      detail: expect.stringContaining('knows nothing'),
    });
  });
});

test('a replica without a validator says so', () => {
  let said: unknown;
  answerValidations(
    {
      answer: (_, answer) => {
        said = answer(question('s1'));
        return () => undefined;
      },
    },
    undefined,
  );
  expect(said).toEqual({ state: 'none' });
});
