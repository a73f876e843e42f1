import { describe, expect, it } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { Turns } from '#adapters/routing/turns.ts';
import { publishChanges, publishDocument } from '#app/publish-revision.ts';
import { type Outcome, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { createLog } from '#platform/log.ts';
import { FaultyStore } from '../../support/faulty-store.ts';
import { routingDocument } from '../../support/routing.ts';

const OVERLOADED = { ok: false, error: { code: 'overloaded', retryAfterSeconds: 1 } };

/** Work that a test ends. */
function task(begun: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome<string>>();
  const work = () => {
    begun.push(name);
    return promise;
  };
  return { work, end: () => resolve(succeed(name)), fail: (error: Error) => reject(error) };
}

describe('Turns', () => {
  it('runs one after another in the order they came, whatever becomes of each', async () => {
    const turns = new Turns();
    const begun: string[] = [];
    const [a, b, c] = [task(begun, 'a'), task(begun, 'b'), task(begun, 'c')];
    const first = turns.take(a.work);
    const second = turns.take(b.work);
    const third = turns.take(c.work);
    await Promise.resolve();
    expect(begun).toEqual(['a']);
    c.end();
    a.fail(new Error('broken'));
    await expect(first).rejects.toThrow('broken');
    expect(begun).toEqual(['a', 'b']);
    b.end();
    expect(await second).toEqual(succeed('b'));
    expect(await third).toEqual(succeed('c'));
    expect(begun).toEqual(['a', 'b', 'c']);
    expect(await turns.take(async () => succeed('free'))).toEqual(succeed('free'));
  });

  it('refuses whom it cannot let wait, and never begins that work', async () => {
    const turns = new Turns({ waitingMaxCount: 1 });
    const begun: string[] = [];
    const [a, b, c] = [task(begun, 'a'), task(begun, 'b'), task(begun, 'c')];
    const first = turns.take(a.work);
    const second = turns.take(b.work);
    expect(await turns.take(c.work)).toMatchObject(OVERLOADED);
    a.end();
    b.end();
    await Promise.all([first, second]);
    expect(begun).toEqual(['a', 'b']);
  });

  it('refuses whose turn does not come in time, and never begins that work', async () => {
    const turns = new Turns({ waitMaxMs: 5 });
    const begun: string[] = [];
    const [a, b] = [task(begun, 'a'), task(begun, 'b')];
    const first = turns.take(a.work);
    expect(await turns.take(b.work)).toMatchObject(OVERLOADED);
    a.end();
    await first;
    expect(begun).toEqual(['a']);
    expect(await turns.take(async () => succeed('free'))).toEqual(succeed('free'));
  });

  it('bounds the publications of a process: the one too many is refused, the others land', async () => {
    const store = new FaultyStore(createMemoryKeyValueStore());
    const revisions = new RevisionStore({ store, log: createLog({ service: 'test', level: 'silent' }) });
    const ports = { store: revisions, clock: { nowMs: () => 0 } };
    await publishDocument(ports, { document: routingDocument({ acme: 's1' }), by: 'ann' });
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    store.faults.commit = async (_writes, real) => {
      await held;
      return real();
    };
    const move = () => publishChanges(ports, { changes: { changes: [{ tenant: 'acme', runner: 's2' }] }, by: 'ann' });
    const moves = Array.from({ length: LIMITS.publicationsWaitingMaxCount + 1 }, move);
    expect(await move()).toMatchObject(OVERLOADED);
    release();
    const outcomes = await Promise.all(moves);
    expect(outcomes.filter((outcome) => outcome.ok && outcome.value.changed)).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(moves.length);
  });
});
